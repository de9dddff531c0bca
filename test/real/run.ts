import { spawn } from 'node:child_process';

/** The suites of `npm run test:real`, and their requirements. */
const groups: Readonly<Record<string, string>> = {
  // Needs dockerd, docker-registry, etcd and kube-apiserver; each test starts its own.
  servers: 'test/real/*.real.ts',
  // Needs KUBECONFIG of a control plane with Knative Serving.
  knative: 'test/real/knative/*.real.ts',
  // Also needs nodes that run pods: `just deploy` on an empty cluster.
  cluster: 'test/real/cluster/*.real.ts',
  // The remaining cluster tests, ten more minutes.
  all: 'test/real/cluster/all/*.real.ts',
};

/** `knative` needs Knative's controller on this host, because the tests' registries listen on loopback. */
const withNodes = Object.keys(groups).filter((name) => name !== 'knative');

const args = process.argv.slice(2);
const isAll = args.includes('--all');
const named = args.filter((arg) => arg !== '--all');
const wrong = named.filter((name) => !Object.hasOwn(groups, name));

if (wrong.length > 0) {
  process.stderr.write(
    `usage: npm run test:real [-- ${Object.keys(groups).join(' | ')} | --all]; not ${wrong.join(', ')}\n`,
  );
  process.exitCode = 2;
} else {
  const selected = isAll ? withNodes : named.length > 0 ? named : ['servers'];
  const files = selected.flatMap((name) => groups[name] ?? []);
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--test', '--test-concurrency=1', ...files],
    { stdio: 'inherit' },
  );
  child.on('close', (code) => {
    process.exitCode = code ?? 1;
  });
}
