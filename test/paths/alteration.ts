/**
 * What the product learns of BullMQ's scripts is what BullMQ defines on the connection, while a queue is opened. This alters the
 * text it gets to see, for one connection or for all; the server is given the real one.
 */
import type { Redis } from 'ioredis'

type Define = Redis['defineCommand']

/** @param reach whether the server is given the altered text, too: then it is another BullMQ altogether */
export function alterScripts(
  target: Redis,
  alter: (lua: string, name: string) => string,
  reach: 'client only' | 'server as well' = 'client only',
): void {
  const real: Define = target.defineCommand
  const install = function (this: Redis, listener: Define) {
    const altered: Define = (name, definition) => {
      const { lua } = definition
      const seen = { ...definition, lua: alter(lua, name) }
      listener(name, seen)
      // Whatever the listener passed on, the server runs what BullMQ meant.
      real.call(this, name, reach === 'client only' ? definition : seen)
    }
    Object.defineProperty(this, 'defineCommand', { value: altered, writable: true, configurable: true })
  }
  Object.defineProperty(target, 'defineCommand', {
    configurable: true,
    get: () => real,
    set: install,
  })
}
