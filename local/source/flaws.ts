type Change = (user: User) => unknown;
type User = Record<string, unknown> & { company: Record<string, unknown> };

const CHANGES = {
  "too young": (user) => ({ ...user, age: 17 }),
  "too old": (user) => ({ ...user, age: 70 }),
  "age as text": (user) => ({ ...user, age: "35" }),
  "age with a fraction": (user) => ({ ...user, age: 17.5 }),
  "no age": ({ age: _, ...user }) => user,
  "no e-mail": ({ email: _, ...user }) => user,
  "broken e-mail": (user) => ({ ...user, email: "nobody at example" }),
  "empty first name": (user) => ({ ...user, firstName: "" }),
  "blank first name": (user) => ({ ...user, firstName: "   " }),
  "no department": ({ company: { department: _, ...company }, ...user }) => ({ ...user, company }),
  "blank department": (user) => ({ ...user, company: { ...user.company, department: " " } }),
  "no company": ({ company: _, ...user }) => user,
  "id as text": (user) => ({ ...user, id: String(user.id) }),
  "no id": ({ id: _, ...user }) => user,
  "id null": (user) => ({ ...user, id: null }),
  "many at once": (user) => ({ ...user, firstName: null, email: "", age: 99, company: null }),
  "a list": (user) => [user.id, user.firstName],
  "a text": (user) => `user ${user.id}`,
  "a number": (user) => user.id,
  "null": () => null,
} as const satisfies Record<string, Change>;

export type Flaw = keyof typeof CHANGES;

/** In the order in which the sample source uses them. */
export const FLAWS = Object.keys(CHANGES) as readonly Flaw[];

export function flawed(json: string, flaw: Flaw): string {
  return JSON.stringify((CHANGES[flaw] as Change)(JSON.parse(json)));
}
