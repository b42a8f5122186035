/**
 * The bound on all incomplete replies together. Each reply has its own bound, but thousands of servers may each hold one back just below
 * it. Beyond the sum, the reply that keeps the most bytes is given up, whichever was read last.
 */
export interface ReplyBudget {
  /** @param giveUp called once, when the sum is exceeded and this reply keeps the most */
  join(giveUp: () => void): BudgetShare
}

interface BudgetShare {
  set(bytes: number): void
  leave(): void
}

export function createReplyBudget(mostBytes: number): ReplyBudget {
  const held = new Map<() => void, number>()
  let sum = 0

  function set(giveUp: () => void, bytes: number): void {
    sum += bytes - (held.get(giveUp) ?? 0)
    if (bytes === 0) held.delete(giveUp)
    else held.set(giveUp, bytes)
  }

  return {
    join(giveUp) {
      return {
        set(bytes) {
          set(giveUp, bytes)
          while (sum > mostBytes) {
            const [largest] = [...held].reduce((most, each) => (each[1] > most[1] ? each : most))
            set(largest, 0)
            largest()
          }
        },
        leave: () => set(giveUp, 0),
      }
    },
  }
}
