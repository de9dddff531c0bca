import * as v from 'valibot';
import { configVariables, parseConfig } from '../../lib/config.ts';
import { CloneError, ConfigError } from '../../lib/errors.ts';
import { parseReference } from '../../lib/index.ts';
import { type InstallSettings, parseSettings } from '../../lib/install/settings.ts';

/** What the deployment is told: everything that `just gen` is told, and what runs behind the webhook. */
export interface DeploySettings {
  readonly install: InstallSettings;
  readonly image: string;
  /** Folder below knative/, and the pod's `CLONER`. */
  readonly variant: 'docker' | 'registry';
  /** File below knative/gateway/. */
  readonly gateway: 'kourier' | 'contour' | 'istio';
  /** What else the webhook is configured with. */
  readonly env: ReadonlyMap<string, string>;
}

const variables = v.object({
  IMAGE: v.pipe(
    v.string(),
    v.check(
      isPullable,
      'must name a registry that the nodes can pull from, such as registry.example.com/image-cloner:v1; "docker push" it there first',
    ),
  ),
  CLONER: v.picklist(['docker', 'registry'], 'must be docker or registry'),
  GATEWAY: v.picklist(['kourier', 'contour', 'istio'], 'must be kourier, contour or istio'),
});

/** Of this machine, or settled by the manifests. */
const notForPods = new Set(['CLONER', 'DOCKER_HOST', 'PORT', 'TLS_PORT']);

/**
 * Environment → settings. Throws one `ConfigError` that lists every problem, those with which the webhook would not start included.
 */
export function parseDeploySettings(
  env: Readonly<Record<string, string | undefined>>,
): DeploySettings {
  const { IMAGE = '', CLONER = 'docker', GATEWAY = 'kourier' } = env;
  const own = v.safeParse(variables, { IMAGE, CLONER, GATEWAY });
  const passed = toPodEnv(env);
  const install = attempt(() => parseSettings(env));
  const config = attempt(() => parseConfig({ ...Object.fromEntries(passed), CLONER }));
  const problems = new Set([
    ...(own.issues ?? []).map((issue) => `${v.getDotPath(issue) ?? ''} ${issue.message}`),
    ...(install instanceof ConfigError ? install.problems : []),
    ...(config instanceof ConfigError ? config.problems : []),
  ]);
  if (!own.success || install instanceof ConfigError || problems.size > 0) {
    throw new ConfigError([...problems]);
  }
  const { IMAGE: image, CLONER: variant, GATEWAY: gateway } = own.output;
  return { install, image, variant, gateway, env: passed };
}

/** Files are not the pod's unless somebody mounts them, which is for the manifests to do. */
function toPodEnv(env: Readonly<Record<string, string | undefined>>): ReadonlyMap<string, string> {
  const names = configVariables
    .map(({ name }) => name)
    .filter((name) => !notForPods.has(name) && !/_(FILE|DIR)$/.test(name));
  return new Map(
    names.flatMap((name) => {
      const value = env[name]?.trim() ?? '';
      return value === '' ? [] : [[name, value] as const];
    }),
  );
}

/** `image-cloner:v1` is Docker Hub's `library/image-cloner`, which is nobody's to push to. */
function isPullable(image: string): boolean {
  try {
    const { domain, path } = parseReference(image);
    return domain !== 'docker.io' || !path.startsWith('library/');
  } catch (error) {
    if (error instanceof CloneError) return false;
    throw error;
  }
}

function attempt<Result>(work: () => Result): Result | ConfigError {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}
