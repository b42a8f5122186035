/** A promise and the functions that settle it: `Promise.withResolvers`, which Node 20 lacks. */
interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: Deferred<T>['resolve'] = ignore
  let reject: Deferred<T>['reject'] = ignore
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** Replaced before it is returned. */
function ignore() {}
