import { AF_INET, IPPROTO_RAW, SOCK_RAW } from '../socket/constants.ts'
import { ip } from '../wire/address.ts'
import { IcmpType, IcmpUnreachable } from '../wire/icmp.ts'
import { TcpFlag } from '../wire/tcp.ts'
import { type ForgedSegment, forgeIcmpError, forgeSegment } from './forge.ts'
import type { Lab } from './lab.ts'
import type { Scenario } from './scenario.ts'
import { ask, begin, connectStages, STAGE_PORT, type Stage, type Stages } from './stage.ts'
import { table } from './table.ts'

/** Section E: somebody who cannot see a connection tries to break it. */

type Fields = Pick<ForgedSegment, 'flags' | 'seq' | 'ack' | 'payload'>

/** Somebody at another wire of the server who sends packets in the client's name. */
interface Attack extends Stages {
  readonly attacker: Stage
  /** Makes a segment in the client's name. */
  forge(fields: Fields): Uint8Array
  /** Sends it to the server. */
  send(...packets: Uint8Array[]): Promise<void>
}

const SERVER = '10.0.0.2'
const CLIENT = '10.0.0.1'

const startAttack = async (lab: Lab): Promise<Attack> => {
  const stages = await connectStages(lab, { show: 'netstat -ant' })
  const { server, sender } = stages
  const host = lab.host('attacker')
  lab.link(host, server, { delay: 1, addresses: ['10.66.0.1/24', '10.66.0.2/24'] })
  host.ip.routes.add({ prefix: { address: ip('0.0.0.0'), length: 0 }, gateway: ip('10.66.0.2') })
  const started: Stage[] = []
  lab.spawn(host, 'attacker', async (sys) => {
    started.push({ sys, fd: sys.socket(AF_INET, SOCK_RAW, IPPROTO_RAW) })
    await sys.sleep(1e6)
  })
  await lab.quietly(() => started.length === 1)
  const attacker = started[0]!
  const ports = { sourcePort: sender.localPort, destinationPort: STAGE_PORT }
  const send = async (...packets: Uint8Array[]): Promise<void> => {
    await ask(lab, attacker, `${packets.length} forged`, async () => {
      for (const packet of packets)
        await attacker.sys.sendto(attacker.fd, packet, packet.length, 0, { address: SERVER })
      return packets.length
    })
    await lab.quietly(() => false, 100)
  }
  return {
    ...stages,
    attacker,
    forge: (fields) => forgeSegment({ from: CLIENT, to: SERVER, ...ports, ...fields }),
    send,
  }
}

const blindAttacks: Scenario = {
  name: 'blind-attacks',
  group: 'E',
  title: 'Forged segments: who cannot see the connection cannot break it',
  description:
    'An attacker knows addresses and ports, and guesses sequence numbers; a window of 64 KB makes one guess in 65,536 a hit. So a RST counts only when its number is exactly RCV.NXT; anywhere else in the window it draws a challenge ACK, which the true peer answers if it really has reset the connection (RFC 5961). A SYN on an established pair and data with an ACK from far off are treated alike, and challenge ACKs are limited. ICMP errors count only when they quote what is in flight.',
  async run(lab) {
    const attack = await startAttack(lab)
    const { server, receiver, near, far, forge } = attack
    const { tcpExt } = server.ip.mib
    const rows = [['what was forged', 'what came of it', 'challenge ACKs']]
    const read = begin(far, 'recv()', () => far.sys.recv(far.fd, new Uint8Array(100)))
    /** Sends segments, looks at what they did, and checks that the connection lives. */
    const attempt = async (what: string, came: string, fields: Fields, challenges: number): Promise<void> => {
      // Answers to one socket are 500 ms apart (tcp_invalid_ratelimit).
      await lab.quietly(() => false, 1000)
      const before = tcpExt.TCPChallengeACK
      await attack.send(forge(fields))
      await lab.step(`Forged: ${what}`)
      lab.check('challenge ACKs', tcpExt.TCPChallengeACK - before, challenges)
      lab.check('the connection is in', lab.state(server, STAGE_PORT), 'ESTABLISHED')
      lab.check('the program has noticed', read.result, null)
      rows.push([what, came, String(challenges)])
    }
    const { Rst, Syn, Ack, Psh } = TcpFlag
    const { rcv, snd } = receiver
    const payload = new TextEncoder().encode('malice')
    const away = (rcv.nxt + 1_000_000_000) | 0
    await attempt('a RST far from the window', 'dropped', { flags: Rst, seq: away }, 0)
    await attempt('a RST in the window', 'a challenge ACK', { flags: Rst, seq: rcv.nxt + 1000 }, 1)
    await attempt('a SYN', 'a challenge ACK', { flags: Syn, seq: rcv.nxt + 5 }, 1)
    const guess = { flags: Ack | Psh, seq: rcv.nxt, payload }
    // RFC 5961 section 5.2 wants an answer to this one too; Linux gives none in ESTABLISHED.
    const unsent = { ...guess, ack: snd.nxt + 1000 }
    const answers = server.tcpSettings.personality.challengesUnsentAck
    await attempt('data, ACK of what was never sent', answers ? 'a challenge ACK' : 'dropped', unsent, Number(answers))
    await attempt('data, ACK from long ago', 'a challenge ACK', { ...guess, ack: snd.una - 1_000_000_000 }, 1)
    await manyAtOnce(lab, attack)
    await icmp(lab, attack, rows)

    await ask(lab, near, 'send("hello")', () => lab.send(near.sys, near.fd, new TextEncoder().encode('hello')))
    await lab.quietly(() => read.result !== null)
    lab.figure('What was tried', table(rows))
    await lab.step('After all this the connection carries data as before')
    lab.check('recv() returned', read.result, 5)

    const again = begin(far, 'recv()', () => far.sys.recv(far.fd, new Uint8Array(100)))
    await attack.send(forge({ flags: Rst, seq: rcv.nxt }))
    await lab.step('Forged by somebody who can see the connection: a RST with exactly RCV.NXT')
    lab.check('recv() said', again.result, 'ECONNRESET')
    lab.note('Nothing in TCP helps against an attacker who can read the wire: that takes TLS, IPsec or TCP-AO.')
    await lab.step('The limit of all this')
  },
}

/** A thousand RSTs in a moment: the limit for the connection, and the limit for the host. */
const manyAtOnce = async (lab: Lab, { server, receiver, forge, send }: Attack): Promise<void> => {
  const { tcpExt } = server.ip.mib
  server.sysctl.set('net.ipv4.tcp_challenge_ack_limit', '20')
  await lab.quietly(() => false, 1000)
  const before = tcpExt.TCPChallengeACK
  const seqs = Array.from({ length: 1000 }, (_, i) => receiver.rcv.nxt + 1 + i * 50)
  await send(...seqs.map((seq) => forge({ flags: TcpFlag.Rst, seq })))
  await lab.step('Forged: a thousand RSTs in the window, in a moment')
  const sent = tcpExt.TCPChallengeACK - before
  lab.note(
    `They drew ${sent} challenge ACKs: each connection answers every 500 ms at most (tcp_invalid_ratelimit), and the host tcp_challenge_ack_limit times a second, about, so that nobody can count them.`,
  )
  lab.check('challenge ACKs: 10 to 30 with a limit of 20, or fewer', sent >= 1 && sent <= 30, true)
  lab.check('the connection is in', lab.state(server, STAGE_PORT), 'ESTABLISHED')
  server.sysctl.set('net.ipv4.tcp_challenge_ack_limit', '2147483647')
}

/** Errors that routers might send, about what the server has sent. */
const icmp = async (lab: Lab, { server, receiver, sender, send }: Attack, rows: string[][]): Promise<void> => {
  const { tcpExt } = server.ip.mib
  const quoting = (seq: number): Uint8Array =>
    forgeSegment({
      from: SERVER,
      to: CLIENT,
      sourcePort: STAGE_PORT,
      destinationPort: sender.localPort,
      flags: TcpFlag.Ack,
      seq,
    })
  const error = (code: number, mtu: number, seq: number): Uint8Array =>
    forgeIcmpError('10.66.0.1', SERVER, IcmpType.DestinationUnreachable, code, mtu, quoting(seq))
  const { snd } = receiver
  const before = tcpExt.OutOfWindowIcmps
  await send(error(IcmpUnreachable.Port, 0, snd.nxt + 100_000))
  await lab.step('Forged: ICMP port unreachable, quoting a number that is not in flight')
  lab.check('ignored, and counted (OutOfWindowIcmps)', tcpExt.OutOfWindowIcmps - before, 1)
  rows.push(['ICMP, quoting a wrong number', 'ignored', '0'])
  await send(error(IcmpUnreachable.Port, 0, snd.una))
  await lab.step('Forged: ICMP port unreachable, quoting a right number')
  lab.check('an established connection only remembers it', lab.state(server, STAGE_PORT), 'ESTABLISHED')
  rows.push(['ICMP, quoting a right number', 'remembered, for when it gives up', '0'])
  const mtu = snd.pathMtu
  await send(error(IcmpUnreachable.FragmentationNeeded, 100, snd.nxt + 100_000))
  await lab.step('Forged: ICMP fragmentation needed, MTU 100, quoting a wrong number')
  lab.check('the path MTU is still', receiver.snd.pathMtu, mtu)
  rows.push(['ICMP, MTU 100', 'ignored', '0'])
}

export const blindScenarios: readonly Scenario[] = [blindAttacks]
