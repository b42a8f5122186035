/**
 * A consumer process to be killed: `node child.ts`. It loads everything, prints `ready`, and starts once it gets its consumer as
 * a message. SIGTERM drains it.
 */
import { type Assembly, assemble } from './assemble.ts'

process.once('message', (reported: Assembly) => {
  const { consumer } = assemble(reported, (thrown) => {
    console.error(thrown)
    process.exit(70)
  })
  process.once('SIGTERM', () => {
    consumer.stop(performance.now() + 2_000).then(
      () => process.exit(0),
      (thrown: unknown) => {
        console.error(thrown)
        process.exit(70)
      },
    )
  })
  consumer.start().catch((thrown: unknown) => {
    console.error(thrown)
    process.exit(69)
  })
})
process.send?.('ready')
