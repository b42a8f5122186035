/** A timer that tests can replace: calls once after that many milliseconds, unless cancelled by the function returned. */
export type Timer = (ms: number, call: () => void) => () => void

export const systemTimer: Timer = (ms, call) => {
  const timer = setTimeout(call, ms)
  return () => clearTimeout(timer)
}
