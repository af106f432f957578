/** The catalogue's scenarios, as `netglass/lab`. */
export { type LabOptions, runScenario } from './lab.ts'
export { findScenario, SCENARIOS } from './registry.ts'
export type { LabCheck, LabReport, LabStep } from './report.ts'
export type { Scenario } from './scenario.ts'
export { LabText } from './text.ts'
