/** Commands that Redis refuses for a while to the product's user, as after a right was taken away. */
import type { Redis } from 'ioredis'
import type { RedisServer } from './redis.ts'

export interface Rights {
  /** Does `work` while the default user may not send these commands; afterwards it may send all again. */
  without<T>(commands: readonly string[], work: () => Promise<T>): Promise<T>
}

export async function openRights(...servers: readonly RedisServer[]): Promise<Rights> {
  // Another user than the product's, so free to do all while that one is not.
  const admins = await Promise.all(
    servers.map(async (server): Promise<Redis> => {
      await server.client().call('ACL', 'SETUSER', 'admin', 'on', '>secret', '~*', '&*', '+@all')
      return server.client({ username: 'admin', password: 'secret' })
    }),
  )
  const setUser = async (...rules: string[]) => {
    for (const admin of admins) await admin.call('ACL', 'SETUSER', 'default', ...rules)
  }
  return {
    async without(commands, work) {
      await setUser(...commands.map((command) => `-${command}`))
      try {
        return await work()
      } finally {
        await setUser('+@all')
      }
    },
  }
}
