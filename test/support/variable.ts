/** An environment variable of this process that a test changes. */
import type { Scope } from './scope.ts'

/** Gives it back its present value when the scope ends. */
export function restoreVariable(scope: Scope, name: string): void {
  const before = process.env[name]
  scope.after(() => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  })
}
