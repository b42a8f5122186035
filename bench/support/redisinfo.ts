/** Numbers of INFO's reply. */

/** A field; NaN where the server has none. */
export const infoNumber = (info: string, field: string): number =>
  Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1] ?? Number.NaN)

/** CPU time of the server's main thread since its start, user and system. @param info reply of INFO CPU. NaN before Redis 6.2 */
export const mainThreadMicroseconds = (info: string): number =>
  (infoNumber(info, 'used_cpu_user_main_thread') + infoNumber(info, 'used_cpu_sys_main_thread')) * 1_000_000

export const versionIn = (info: string): string => /^(?:redis|valkey)_version:(\S+)/m.exec(info)?.[1] ?? 'unknown'
