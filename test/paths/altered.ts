/** `node --import` this: a BullMQ whose scripts nobody has read. They do the same, but their text differs. */
import { Redis } from 'ioredis'
import { alterScripts } from './alteration.ts'

alterScripts(Redis.prototype, (lua) => `-- of another version\n${lua}`)
