import { spawn } from 'node:child_process';

/** What `npm run test:real` knows by name, and what each of them needs. */
const groups: Readonly<Record<string, string>> = {
  // dockerd, docker-registry, etcd, kube-apiserver: each test starts its own.
  servers: 'test/real/*.real.ts',
  // KUBECONFIG: a control plane with Knative Serving.
  knative: 'test/real/knative/*.real.ts',
  // The same, and nodes that run pods: `just deploy` from nothing.
  cluster: 'test/real/cluster/*.real.ts',
  // All that is left of it, ten minutes more.
  all: 'test/real/cluster/all/*.real.ts',
};

/** `knative` wants Knative's controller on this host: it resolves tags on loopback, where a controller in a pod has nobody. */
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
  const wanted = isAll ? withNodes : named.length > 0 ? named : ['servers'];
  const files = wanted.flatMap((name) => groups[name] ?? []);
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--test', '--test-concurrency=1', ...files],
    { stdio: 'inherit' },
  );
  child.on('close', (code) => {
    process.exitCode = code ?? 1;
  });
}
