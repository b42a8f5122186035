/** The set-up of trials of the operator: an API server, a Redis, and the operator's program. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadCredentials } from '../../operator/kubernetes/credentials.ts'
import { createTransport } from '../../operator/kubernetes/transport.ts'
import { startApiServer } from '../../test/support/apiserver.ts'
import { startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import type { Scope } from '../../test/support/scope.ts'
import { operatorProgram } from '../operator/program.ts'

/** @param controllers whether Kubernetes' own controllers run, too */
export async function startOperated(scope: Scope, name: string, { controllers }: { readonly controllers: boolean }) {
  const folder = await mkdtemp(join(tmpdir(), `streampipeline-${name}-`))
  scope.after(() => rm(folder, { recursive: true, force: true }))
  const [server, redis] = await Promise.all([
    startApiServer(scope, {
      controllers,
      users: { operator: ['system:masters'] },
      manifests: [join(projectRoot, 'crds', 'streampipelines.yaml')],
    }),
    startRedis(scope),
  ])
  const transport = createTransport(loadCredentials(server.kubeconfig))
  scope.after(() => transport.close())
  const { kubeconfig } = await server.user('operator')
  const operator = await (await operatorProgram(scope, folder, kubeconfig)).start(name)
  return { folder, server, redis, client: redis.client(), transport, operator }
}
