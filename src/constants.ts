/** The numbers that C programs have from header files, as `netglass/constants`. */
export * from './host/signals.ts'
export * from './socket/constants.ts'
