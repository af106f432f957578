import { ipScenarios } from './below-ip.ts'
import { linkScenarios } from './below-link.ts'
import { bindScenarios } from './bind-rules.ts'
import { callScenarios } from './calls.ts'
import { demuxScenarios } from './demux.ts'
import { descriptorScenarios } from './descriptors.ts'
import { blindScenarios } from './engine-blind.ts'
import { congestionScenarios } from './engine-congestion.ts'
import { nagleScenarios } from './engine-nagle.ts'
import { retransmitScenarios } from './engine-retransmit.ts'
import { segmentScenarios } from './engine-segments.ts'
import { timerScenarios } from './engine-timers.ts'
import { urgentScenarios } from './engine-urgent.ts'
import { halfCloseScenarios } from './half-close.ts'
import { httpScenarios } from './http.ts'
import { closingScenarios } from './life-closing.ts'
import { leavingScenarios } from './life-leaving.ts'
import { listenerScenarios } from './life-listener.ts'
import { nonblockingScenarios } from './life-nonblocking.ts'
import { openingScenarios } from './life-opening.ts'
import { vanishedScenarios } from './life-vanished.ts'
import { lookingScenarios } from './looking-in.ts'
import { nameScenarios } from './names.ts'
import { ownPortScenarios } from './own-ports.ts'
import { queueScenarios } from './queues.ts'
import { queueCallScenarios } from './queues-calls.ts'
import { queueWindowScenarios } from './queues-windows.ts'
import type { Scenario } from './scenario.ts'
import { serverScenarios } from './servers.ts'
import { serviceScenarios } from './services.ts'
import { settingScenarios } from './settings.ts'
import { slowReceiverScenarios } from './slow-receiver.ts'
import { synFloodScenarios } from './syn-flood.ts'
import { timeWaitScenarios } from './time-wait.ts'
import { datagramScenarios } from './udp-datagrams.ts'
import { manyScenarios } from './udp-many.ts'
import { unpluggedScenarios } from './unplugged.ts'
import { unpluggedEndScenarios } from './unplugged-ends.ts'
import { pollScenarios } from './waiting.ts'
import { signalScenarios } from './waiting-signals.ts'
import { listenerSharingScenarios } from './who-listens.ts'

/** Every scenario, in the catalogue's order. */
export const SCENARIOS: readonly Scenario[] = [
  ...descriptorScenarios,
  ...callScenarios,
  ...nameScenarios,
  ...ownPortScenarios,
  ...openingScenarios,
  ...nonblockingScenarios,
  ...listenerScenarios,
  ...closingScenarios,
  ...halfCloseScenarios,
  ...synFloodScenarios,
  ...timeWaitScenarios,
  ...leavingScenarios,
  ...vanishedScenarios,
  ...queueScenarios,
  ...queueCallScenarios,
  ...queueWindowScenarios,
  ...slowReceiverScenarios,
  ...segmentScenarios,
  ...retransmitScenarios,
  ...congestionScenarios,
  ...nagleScenarios,
  ...timerScenarios,
  ...urgentScenarios,
  ...blindScenarios,
  ...unpluggedScenarios,
  ...unpluggedEndScenarios,
  ...demuxScenarios,
  ...listenerSharingScenarios,
  ...bindScenarios,
  ...datagramScenarios,
  ...manyScenarios,
  ...pollScenarios,
  ...signalScenarios,
  ...serverScenarios,
  ...httpScenarios,
  ...serviceScenarios,
  ...linkScenarios,
  ...ipScenarios,
  ...lookingScenarios,
  ...settingScenarios,
]

/** What runs when no row is named. */
export const DEFAULT_SCENARIO = 'http'

export const findScenario = (name: string): Scenario | undefined => SCENARIOS.find((scenario) => scenario.name === name)
