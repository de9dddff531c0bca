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
  /** The user of an `Authorization: Basic` header, unless its password is wrong. */
  readonly authenticate: (header: string | null) => Identity;
  /** The requested access, reduced to the allowed actions. */
  readonly grant: (user: Identity, requested: Access) => Access;
}

export function createUsers(options: UserOptions): Users {
  const { users, isPublic = () => false, allows = () => true } = options;
  const passwords = new Map(Object.entries(users));
  const isPasswordOf = (name: string, password: string): boolean =>
    passwords.get(name) === password;
  const isAllowed = (user: Identity, { type, name }: Access, action: Action): boolean => {
    if (type === 'registry') return user !== undefined;
    return (
      (action === 'pull' && isPublic(name)) || (user !== undefined && allows(user, name, action))
    );
  };
  return {
    isPasswordOf,
    authenticate: (header) => {
      const [, encoded = ''] = /^basic +(\S+)$/i.exec(header ?? '') ?? [];
      // The password may contain colons.
      const [, name = '', password = ''] =
        /^([^:]*):([^]*)$/.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
      return isPasswordOf(name, password) ? name : undefined;
    },
    grant: (user, requested) => ({
      ...requested,
      actions: requested.actions.filter((action) => isAllowed(user, requested, action)),
    }),
  };
}
