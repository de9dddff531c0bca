import assert from 'node:assert/strict';
import { type ProgramResult, runProgram } from './program.ts';

/** The cluster of KUBECONFIG; the test runner starts and deletes it. */
export interface Cluster {
  readonly env: Readonly<Record<string, string>>;
  readonly kubectl: (args: readonly string[], stdin?: object | string) => Promise<ProgramResult>;
  /** As `kubectl`, but fails the test unless the exit code is 0. Resolves with its stdout. */
  readonly mustKubectl: (args: readonly string[], stdin?: object | string) => Promise<string>;
}

export function openCluster(): Cluster {
  const kubeconfig = process.env['KUBECONFIG'] ?? '';
  if (kubeconfig === '')
    throw new Error('KUBECONFIG is not set: this needs a cluster with Knative');
  const env = { KUBECONFIG: kubeconfig };
  const kubectl: Cluster['kubectl'] = (args, stdin) =>
    runProgram('kubectl', args, {
      env,
      ...(stdin !== undefined && {
        stdin: typeof stdin === 'string' ? stdin : JSON.stringify(stdin),
      }),
    });
  return {
    env,
    kubectl,
    mustKubectl: async (args, stdin) => {
      const { code, stdout, stderr } = await kubectl(args, stdin);
      assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
      return stdout;
    },
  };
}
