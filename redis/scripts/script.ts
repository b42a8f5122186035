/**
 * Lua scripts as values: named, with their text, run on any connection or queued on a pipeline. Calls go by EVALSHA, and by EVAL where
 * the server answers NOSCRIPT. So a server that lost its script cache in a restart or failover needs no care here. On connections of
 * another ioredis its own `defineCommand` does the same.
 */
import { createHash } from 'node:crypto'
import type { ChainableCommander } from 'ioredis'
import { failureOn, isCluster, type RedisConnection, rethrowOn } from '../connect/connection.ts'
import { callEncoded, encodedScript, type ScriptArgument, takesEncodedCalls } from './encodedcall.ts'

interface Script {
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
  // No async function: it would keep the arguments, with the payloads of a batch, alive until the reply arrives.
  const encoded = encodedScript(lua)
  const invoke = (connection: RedisConnection, buffers: boolean, keys: readonly string[], args: readonly ScriptArgument[]) => {
    try {
      if (takesEncodedCalls(connection)) {
        return callEncoded(connection, encoded, keys, args, buffers ? null : 'utf8').catch(rethrowOn(connection))
      }
      define(connection)
      const call: unknown = Reflect.get(connection, buffers ? `${command}Buffer` : command)
      return (call as Invoke).call(connection, keys.length, ...keys, ...args).catch(rethrowOn(connection))
    } catch (thrown) {
      return Promise.reject(failureOn(connection, thrown))
    }
  }
  return {
    name,
    lua,
    run: (connection, keys, args) => invoke(connection, false, keys, args),
    runBuffer: (connection, keys, args) => invoke(connection, true, keys, args),
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
