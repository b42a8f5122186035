/**
 * Lua scripts as values: named, with their text, run on any connection or queued on a pipeline. ioredis' `defineCommand` sends
 * EVALSHA and falls back to EVAL on NOSCRIPT, so a server that lost its script cache (restart, failover) needs no care here.
 */
import { createHash } from 'node:crypto'
import type { ChainableCommander } from 'ioredis'
import { failureOn, isCluster, type RedisConnection } from '../connect/connection.ts'

type ScriptArgument = string | number | Buffer

export interface Script {
  readonly name: string
  readonly lua: string
  /** Runs it; replies with strings. Throws catalogued errors. */
  run(connection: RedisConnection, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown>
  /** Runs it; replies with Buffers, for what may be binary. Throws catalogued errors. */
  runBuffer(connection: RedisConnection, keys: readonly string[], args: readonly ScriptArgument[]): Promise<unknown>
  /** Appends it to a MULTI, with its text: within a MULTI a script that the server forgot would only fail. */
  queue(multi: ChainableCommander, keys: readonly string[], args: readonly ScriptArgument[]): void
}

type Invoke = (...args: readonly ScriptArgument[]) => Promise<unknown>

export function defineScript(name: string, text: string): Script {
  // Its name in the first line shows in MONITOR and SLOWLOG.
  const lua = `-- ${name}\n${text}`
  // A connection knows commands by name, and scripts of one name have several texts: BullMQ's adds differ.
  const digest = createHash('sha256').update(lua).digest('hex').slice(0, 16)
  const command = `sp${name[0]?.toUpperCase() ?? ''}${name.slice(1)}_${digest}`
  const defined = new WeakSet<RedisConnection>()
  const define = (connection: RedisConnection) => {
    if (defined.has(connection)) return
    connection.defineCommand(command, { lua })
    defined.add(connection)
  }
  const invoke = async (
    connection: RedisConnection,
    method: string,
    keys: readonly string[],
    args: readonly ScriptArgument[],
  ) => {
    define(connection)
    const call: unknown = Reflect.get(connection, method)
    try {
      return await (call as Invoke).call(connection, keys.length, ...keys, ...args)
    } catch (thrown) {
      throw failureOn(connection, thrown)
    }
  }
  return {
    name,
    lua,
    run: async (connection, keys, args) => await invoke(connection, command, keys, args),
    runBuffer: async (connection, keys, args) => await invoke(connection, `${command}Buffer`, keys, args),
    queue: (multi, keys, args) => void multi.eval(lua, keys.length, ...keys, ...args),
  }
}

/**
 * Makes the server know scripts again. Inside MULTI a forgotten one shows only in EXEC's reply, which ioredis does not look into:
 * it would go on sending EVALSHA. Servers forget on SCRIPT FLUSH and, from 7.4, evict what was loaded by EVAL.
 */
export async function loadScripts(connection: RedisConnection, texts: readonly string[]): Promise<void> {
  const servers = isCluster(connection) ? connection.nodes('master') : [connection]
  try {
    await Promise.all(servers.flatMap((server) => texts.map((lua) => server.script('LOAD', lua))))
  } catch (thrown) {
    throw failureOn(connection, thrown)
  }
}
