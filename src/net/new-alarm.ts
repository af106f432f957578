import { Alarm } from './alarm.ts'
import type { Surroundings } from './platform.ts'

/** An alarm of the program that calls now. */
export const newAlarm = (surroundings: Surroundings, ring: () => void): Alarm =>
  new Alarm(surroundings.current(), surroundings.platform.scope('NETGLASSTIMER'), ring)
