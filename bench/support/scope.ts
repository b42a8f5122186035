/** Closes the resources of a bench or trial in reverse order, at its end. Fixtures of test/support take it as their scope. */
import type { Scope } from '../../test/support/scope.ts'

interface ClosableScope extends Scope {
  /** Runs the registered functions, last first. The first failure is thrown once all have run. */
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
