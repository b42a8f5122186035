import { after } from 'node:test'
import type { Scope } from '../support/scope.ts'

/** A scope that ends with the file, for servers of a `before` hook: hooks registered inside a hook would end with that hook. */
export function fileScope(): Scope {
  const hooks: Parameters<Scope['after']>[0][] = []
  after(async () => {
    for (const hook of hooks) await hook(undefined)
  })
  return { after: (hook) => void hooks.push(hook) }
}
