/** Windows, patience and thresholds of the alerts: values of the chart, put in where the rules have `%name%`. */
interface AlertSetting {
  readonly default: string | number
  readonly description: string
}

/** Durations as Prometheus writes them. */
export const alertWindows = {
  burnFastLong: { default: '1h', description: 'Long window of the fast burn rate.' },
  burnFastShort: {
    default: '5m',
    description: 'Short window of the fast burn rate. It ends the alert soon after the cause is gone.',
  },
  burnSlowLong: { default: '6h', description: 'Long window of the slow burn rate.' },
  burnSlowShort: { default: '30m', description: 'Short window of the slow burn rate.' },
  recent: { default: '10m', description: 'Window for rates of consumers and of reconciles.' },
  growth: { default: '15m', description: 'Window for the growth of dead letters, and for the operator’s writes.' },
  soon: {
    default: '2m',
    description: 'Wait before an alert about a fast burn rate, a contended object, a silent consumer or a missing leader.',
  },
  short: {
    default: '5m',
    description: 'Wait before an alert about dead letters, missing consumers, a stalled pipeline, Redis or memory.',
  },
  medium: {
    default: '10m',
    description: 'Wait before an alert about an old backlog, quarantine, takeovers, failed reconciles or a deep work queue.',
  },
  long: { default: '15m', description: 'Wait before an alert about a slow burn rate, or about a pipeline that is not ready.' },
  longest: { default: '30m', description: 'Wait before an alert about an operator that writes without a reason.' },
  atMaximum: { default: '1h', description: 'Wait before an alert about a pipeline at its maximum of consumers.' },
} as const satisfies Readonly<Record<string, AlertSetting>>

export const alertThresholds = {
  objective: { default: 0.99, description: 'Share of entries that should be settled within `scaling.targetAge`.' },
  fastBurn: {
    default: 14.4,
    description: 'Burn rate that uses up 2 % of a month’s error budget in `windows.burnFastLong`.',
  },
  slowBurn: { default: 6, description: 'Burn rate that uses up 5 % of a month’s error budget in `windows.burnSlowLong`.' },
  oldestAgeFactor: { default: 10, description: 'Longest wait of the oldest entry, as a multiple of `scaling.targetAge`.' },
  silentSeconds: { default: 60, description: 'Seconds without a heartbeat in Redis after which a consumer counts as silent.' },
  refusals: { default: 10, description: 'Number of commands that Redis refused in `windows.recent`.' },
  writesPerSecond: { default: 0.5, description: 'Writes of the operator, per second and pipeline.' },
  errorShare: { default: 0.1, description: 'Share of reconciles that may fail.' },
  queueDepth: { default: 100, description: 'Number of keys that may wait in the operator’s work queue.' },
  memoryShare: { default: 0.9, description: 'Share of its memory limit that a process may use.' },
} as const satisfies Readonly<Record<string, AlertSetting>>

type Settings = Readonly<Record<string, string | number>>

/** `text` with the defaults, or what overrides them, put in. */
export function withSettings(text: string, overrides: Settings = {}): string {
  const defaults = Object.fromEntries(
    Object.entries({ ...alertWindows, ...alertThresholds }).map(([name, setting]): [string, string | number] => [
      name,
      setting.default,
    ]),
  )
  return Object.entries({ ...defaults, ...overrides }).reduce(
    (filled, [name, value]) => filled.replaceAll(`%${name}%`, String(value)),
    text,
  )
}
