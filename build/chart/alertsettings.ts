/** Windows, patience and thresholds of the alerts: values of the chart, put in where the rules have `%name%`. */
export interface AlertSetting {
  readonly default: string | number
  readonly description: string
}

/** Durations as Prometheus writes them. */
export const alertWindows = {
  burnFastLong: { default: '1h', description: 'Long window of the fast burn rate.' },
  burnFastShort: { default: '5m', description: 'Short window of the fast burn rate: the alert ends soon after the cause.' },
  burnSlowLong: { default: '6h', description: 'Long window of the slow burn rate.' },
  burnSlowShort: { default: '30m', description: 'Short window of the slow burn rate.' },
  recent: { default: '10m', description: 'Of rates over consumers and reconciles.' },
  growth: { default: '15m', description: 'Of the growth of dead letters and of the operator’s writes.' },
  soon: { default: '2m', description: 'Patience with a missing leader and with silent consumers.' },
  short: { default: '5m', description: 'Patience with what people mend at once.' },
  medium: { default: '10m', description: 'Patience with what may pass.' },
  long: { default: '15m', description: 'Patience with a pipeline that is not ready.' },
  longest: { default: '30m', description: 'Patience with an operator that writes without a reason.' },
  atMaximum: { default: '1h', description: 'Patience with a pipeline at its maximum of consumers.' },
} as const satisfies Readonly<Record<string, AlertSetting>>

export const alertThresholds = {
  objective: { default: 0.99, description: 'Share of entries that should be settled within `scaling.targetAge`.' },
  fastBurn: {
    default: 14.4,
    description: 'Burn rate of the error budget that uses up 2 % of a month’s in the fast long window.',
  },
  slowBurn: { default: 6, description: 'Burn rate that uses up 5 % of a month’s in the slow long window.' },
  oldestAgeFactor: { default: 10, description: 'Times `scaling.targetAge` for which the oldest entry may wait.' },
  silentSeconds: { default: 60, description: 'Seconds without a heartbeat that reached Redis.' },
  refusals: { default: 10, description: 'Refusals by Redis in `windows.recent`.' },
  writesPerSecond: { default: 0.5, description: 'Writes of the operator per second and pipeline.' },
  errorShare: { default: 0.1, description: 'Share of reconciles that fail.' },
  queueDepth: { default: 100, description: 'Keys that wait in the operator’s queue.' },
  memoryShare: { default: 0.9, description: 'Share of its memory limit that a process takes.' },
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
