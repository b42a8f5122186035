/** `node --import` this: a BullMQ with scripts of unknown text. They do the same. */
import { Redis } from 'ioredis'
import { alterScripts } from './alteration.ts'

alterScripts(Redis.prototype, (lua) => `-- of another version\n${lua}`)
