/** `rules[]` of a webhook configuration. */
export interface WebhookRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly string[];
  readonly resources: readonly string[];
  readonly scope: 'Namespaced';
}

/** The values of `WORKLOADS` and their API groups, in the order of the rules. */
const groups: ReadonlyMap<string, string> = new Map([
  ['pods', ''],
  ['podtemplates', ''],
  ['replicationcontrollers', ''],
  ['deployments', 'apps'],
  ['daemonsets', 'apps'],
  ['statefulsets', 'apps'],
  ['replicasets', 'apps'],
  ['cronjobs', 'batch'],
  ['jobs', 'batch'],
  ['services.serving.knative.dev', 'serving.knative.dev'],
  ['configurations.serving.knative.dev', 'serving.knative.dev'],
]);

/** Every value that `WORKLOADS` accepts. */
export const knownWorkloads: readonly string[] = [...groups.keys()];

/** Returns one rule for each API group. With pods, ephemeral containers (`kubectl debug`) have a rule too. */
export function toRules(workloads: readonly string[]): readonly WebhookRule[] {
  const selected = [...groups].filter(([workload]) => workloads.includes(workload));
  const byGroup = Map.groupBy(selected, ([, group]) => group);
  const rules = [...byGroup].map(([group, entries]) => {
    const resources = entries.map(([workload]) => workload.replace(/\..*/, ''));
    return toRule(group, ['CREATE', 'UPDATE'], resources);
  });
  const ephemeral = toRule('', ['UPDATE'], ['pods/ephemeralcontainers']);
  return workloads.includes('pods') ? [ephemeral, ...rules] : rules;
}

/** The values of `WORKLOADS` that these rules cover; the inverse of `toRules`. */
export function toWorkloads(
  rules: readonly Pick<WebhookRule, 'apiGroups' | 'resources'>[],
): readonly string[] {
  return knownWorkloads.filter((workload) =>
    rules.some(
      ({ apiGroups, resources }) =>
        apiGroups.includes(groups.get(workload) ?? '') &&
        resources.includes(workload.replace(/\..*/, '')),
    ),
  );
}

function toRule(
  group: string,
  operations: readonly string[],
  resources: readonly string[],
): WebhookRule {
  return { apiGroups: [group], apiVersions: ['v1'], operations, resources, scope: 'Namespaced' };
}
