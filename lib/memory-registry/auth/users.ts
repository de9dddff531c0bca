import type { Access, Action } from './access.ts';

export interface UserOptions {
  /** Passwords by user name, as in an htpasswd file. */
  readonly users: Readonly<Record<string, string>>;
  /** Whether anonymous clients may pull from the repository. @default they may not */
  readonly isPublic?: (repository: string) => boolean;
  /** Whether a user may perform the action. @default every user may */
  readonly allows?: (user: string, repository: string, action: Action) => boolean;
}

/** A user name, or `undefined` for an anonymous client. */
export type Identity = string | undefined;

export interface Users {
  readonly isPasswordOf: (name: string, password: string) => boolean;
  /** The requested access, reduced to the allowed actions. */
  readonly grant: (user: Identity, requested: Access) => Access;
}

/** Creates the users and their access rules. */
export function createUsers(options: UserOptions): Users {
  const { users, isPublic = () => false, allows = () => true } = options;
  const passwords = new Map(Object.entries(users));
  const isAllowed = (user: Identity, { type, name }: Access, action: Action): boolean => {
    if (type === 'registry') return user !== undefined;
    return (
      (action === 'pull' && isPublic(name)) || (user !== undefined && allows(user, name, action))
    );
  };
  return {
    isPasswordOf: (name, password) => passwords.get(name) === password,
    grant: (user, requested) => ({
      ...requested,
      actions: requested.actions.filter((action) => isAllowed(user, requested, action)),
    }),
  };
}

/** Parses an `Authorization: Basic` header. The password may contain colons. */
export function parseBasic(
  header: string | null,
): { readonly name: string; readonly password: string } | undefined {
  const [, encoded] = /^basic +(\S+)$/i.exec(header ?? '') ?? [];
  const [, name, password] =
    /^([^:]*):([^]*)$/.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  return name === undefined || password === undefined ? undefined : { name, password };
}
