/**
 * How many Events an object may have: a burst of 25, then one in five minutes (client-go's figures). So an object that keeps flapping never
 * floods etcd.
 */
const burst = 25
const refillMs = 300_000

interface Allowance {
  readonly tokens: number
  readonly atMs: number
}

interface EventBudget {
  /** Whether this object may have one more Event now. */
  spend(subject: string, nowMs: number): boolean
  /** Forgets objects with a full budget. */
  tidy(nowMs: number): void
}

export function createEventBudget(): EventBudget {
  const allowances = new Map<string, Allowance>()
  return {
    spend(subject, nowMs) {
      const { tokens, atMs } = allowances.get(subject) ?? { tokens: burst, atMs: nowMs }
      const filled = Math.min(burst, tokens + (nowMs - atMs) / refillMs)
      allowances.set(subject, { tokens: filled >= 1 ? filled - 1 : filled, atMs: nowMs })
      return filled >= 1
    },
    tidy(nowMs) {
      for (const [subject, { atMs }] of allowances) if (nowMs - atMs >= burst * refillMs) allowances.delete(subject)
    },
  }
}
