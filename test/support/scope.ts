/**
 * What a fixture hangs its cleanup on: a TestContext; or `{ after }` of node:test, at the top of a file for all of it, in a
 * `before` hook for a suite.
 *
 * The runner calls `after` hooks in the order they were registered, so a server started first would be gone before the clients
 * that a test registered later are closed. `afterAllElse` therefore registers its cleanup anew when its turn comes, which puts it
 * behind everything the test itself registered. (Hooks of a suite can't be extended while they run: there it runs in its turn.)
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
