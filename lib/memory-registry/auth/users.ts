import type { Access, Action } from './access.ts';

export interface UserOptions {
  /** Passwords by name, as in an htpasswd file. */
  readonly users: Readonly<Record<string, string>>;
  /** Whether everybody may pull from the repository. @default no one */
  readonly isPublic?: (repository: string) => boolean;
  /** What a user may do. @default everything */
  readonly allows?: (user: string, repository: string, action: Action) => boolean;
}

/** Who somebody is: a user's name, `undefined` for nobody in particular. */
export type Identity = string | undefined;

export interface Users {
  /** Whether this is the password of that user. */
  readonly isUser: (name: string, password: string) => boolean;
  /** The part of what is asked for that is given. */
  readonly grant: (who: Identity, asked: Access) => Access;
}

/** Users, and what they and everybody else may do. */
export function createUsers(options: UserOptions): Users {
  const { users, isPublic = () => false, allows = () => true } = options;
  const passwords = new Map(Object.entries(users));
  const isAllowed = (who: Identity, { type, name }: Access, action: Action): boolean => {
    if (type === 'registry') return who !== undefined;
    return (
      (action === 'pull' && isPublic(name)) || (who !== undefined && allows(who, name, action))
    );
  };
  return {
    isUser: (name, password) => passwords.get(name) === password,
    grant: (who, asked) => ({
      ...asked,
      actions: asked.actions.filter((action) => isAllowed(who, asked, action)),
    }),
  };
}

/** User and password of an `Authorization: Basic` header. The password may have colons. */
export function parseBasic(
  header: string | null,
): { readonly name: string; readonly password: string } | undefined {
  const [, encoded] = /^basic +(\S+)$/i.exec(header ?? '') ?? [];
  const [, name, password] =
    /^([^:]*):([^]*)$/.exec(Buffer.from(encoded ?? '', 'base64').toString()) ?? [];
  return name === undefined || password === undefined ? undefined : { name, password };
}
