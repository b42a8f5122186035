/**
 * The product reads the text of BullMQ's scripts from the commands that BullMQ defines on the connection. This alters that text,
 * for one connection or for all. The server gets the real text.
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
