/**
 * `artifacthub-repo.yml` of a release. Artifact Hub reads it beside the charts of a repository, to find out who owns them: the id
 * that it gave to the repository has to be in it.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../root.ts'

export const artifactHubFile = 'artifacthub-repo.yml'

/** @throws Error where ARTIFACTHUB_REPOSITORY_ID is no id */
export function artifactHubRepository({ ARTIFACTHUB_REPOSITORY_ID: id = '' }: NodeJS.ProcessEnv): string {
  const text = readFileSync(join(root, 'charts', artifactHubFile), 'utf8')
  if (id === '') return text
  if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id))
    throw new Error(`ARTIFACTHUB_REPOSITORY_ID must be the id that Artifact Hub shows for the repository, a UUID: ${id}`)
  return `${text}repositoryID: ${id}\n`
}
