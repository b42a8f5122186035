/** What a bench or trial opens, closed in reverse order at its end; fixtures of test/support hang themselves on it. */
import type { Scope } from '../../test/support/scope.ts'

export interface ClosableScope extends Scope {
  /** Runs what was registered, last first; the first failure is thrown when all have run. */
  close(): Promise<void>
}

export function createScope(): ClosableScope {
  const hooks: (() => Promise<void> | void)[] = []
  return {
    after(hook) {
      hooks.push(async () => await hook(undefined))
    },
    async close() {
      const failures: unknown[] = []
      for (const hook of hooks.splice(0).reverse()) {
        try {
          await hook()
        } catch (thrown) {
          failures.push(thrown)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}
