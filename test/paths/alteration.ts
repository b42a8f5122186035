/**
 * What the product learns of BullMQ's scripts is what BullMQ defines on the connection, while a queue is opened. This alters the
 * text it gets to see, for one connection or for all; the server is given the real one.
 */
import type { Redis } from 'ioredis'

type Define = Redis['defineCommand']

export function alterScripts(target: Redis, alter: (lua: string, name: string) => string): void {
  const real: Define = target.defineCommand
  const install = function (this: Redis, listener: Define) {
    const altered: Define = (name, definition) => {
      const { lua } = definition
      const seen = { ...definition, lua: alter(lua, name) }
      listener(name, seen)
      // Whatever the listener passed on, the server runs the script of BullMQ.
      real.call(this, name, definition)
    }
    Object.defineProperty(this, 'defineCommand', { value: altered, writable: true, configurable: true })
  }
  Object.defineProperty(target, 'defineCommand', {
    configurable: true,
    get: () => real,
    set: install,
  })
}
