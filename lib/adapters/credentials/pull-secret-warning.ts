/** Why pull secrets are not there, in lines of at most 120 characters for the person who applied the workload. */
export const pullSecretWarning = {
  /** The longest namespace has 63 characters: it fits, uncut. */
  forbidden: (namespace: string): string =>
    `its pull secrets may not be read: run "just pull-secret ${namespace}"`,
  unavailable: (): string => 'its pull secrets could not be read: the API server did not answer',
  absent: (name: string): string => `pull secret ${quote(name)} does not exist in its namespace`,
  absentAccount: (name: string): string =>
    `its ServiceAccount ${quote(name)}, which may name pull secrets, does not exist`,
  broken: (name: string): string => `pull secret ${quote(name)} cannot be read and was skipped`,
  tooMany: (max: number): string => `only the first ${max} of its pull secrets were read`,
};

const maxNameLength = 50;

function quote(name: string): string {
  return name.length > maxNameLength ? `"${name.slice(0, maxNameLength)}…"` : `"${name}"`;
}
