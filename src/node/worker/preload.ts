import { isMainThread, parentPort, receiveMessageOnPort } from 'node:worker_threads'
import { useProgram } from '../program.ts'
import { Answers } from './protocol.ts'
import { remoteProgram } from './remote-program.ts'
import type { WorkerGreeting } from './workers.ts'

/** Loaded in a worker before its program: gives it the host of the program that has started it. */

const greeting = isMainThread || parentPort === null ? undefined : receiveMessageOnPort(parentPort)
const { netglass } = (greeting?.message ?? {}) as Partial<WorkerGreeting>
if (netglass !== undefined) useProgram(remoteProgram(netglass.port, new Answers(netglass.shared), netglass))
