import { CaState, INFINITE_SSTHRESH } from '../tcp/congestion/state.ts'
import { TcpState } from '../tcp/state.ts'

/** The names that code in scripts has for values of TCP_INFO, beside the fields themselves. */
export const TCP_NAMES: Readonly<Record<string, number>> = {
  TCP_ESTABLISHED: TcpState.Established,
  TCP_SYN_SENT: TcpState.SynSent,
  TCP_SYN_RECV: TcpState.SynReceived,
  TCP_FIN_WAIT1: TcpState.FinWait1,
  TCP_FIN_WAIT2: TcpState.FinWait2,
  TCP_TIME_WAIT: TcpState.TimeWait,
  TCP_CLOSE: TcpState.Closed,
  TCP_CLOSE_WAIT: TcpState.CloseWait,
  TCP_LAST_ACK: TcpState.LastAck,
  TCP_LISTEN: TcpState.Listen,
  TCP_CLOSING: TcpState.Closing,
  TCP_CA_Open: CaState.Open,
  TCP_CA_Disorder: CaState.Disorder,
  TCP_CA_CWR: CaState.Cwr,
  TCP_CA_Recovery: CaState.Recovery,
  TCP_CA_Loss: CaState.Loss,
  TCP_INFINITE_SSTHRESH: INFINITE_SSTHRESH,
  TCPI_OPT_TIMESTAMPS: 1,
  TCPI_OPT_SACK: 2,
  TCPI_OPT_WSCALE: 4,
  TCPI_OPT_ECN: 8,
  TCPI_OPT_ECN_SEEN: 16,
  TCPI_OPT_SYN_DATA: 32,
  TCPI_OPT_USEC_TS: 64,
  TCPI_OPT_TFO_CHILD: 128,
}
