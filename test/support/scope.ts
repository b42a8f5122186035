/**
 * A scope takes the cleanup of a fixture. It is a TestContext, or `{ after }` of node:test: at the top of a file for the whole
 * file, in a `before` hook for a suite.
 *
 * The runner calls `after` hooks in the order of their registration. A server that starts first would end before the clients that
 * a test registered later. So `afterAllElse` registers its cleanup anew when its turn comes, behind everything the test
 * registered. Hooks of a suite cannot be added while they run: there it runs in its turn.
 */
export interface Scope {
  after(hook: (context: unknown) => Promise<void> | void): void
}

/** With more `rounds` it goes behind the cleanups that were put off with fewer. */
export const afterAllElse = (scope: Scope, cleanup: () => Promise<void> | void, rounds = 1): void => {
  scope.after((context) => {
    if (rounds === 0 || !isScope(context)) return cleanup()
    afterAllElse(context, cleanup, rounds - 1)
  })
}

const isScope = (context: unknown): context is Scope =>
  typeof context === 'object' && context !== null && 'after' in context && typeof context.after === 'function'
