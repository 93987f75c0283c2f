import { byUnits, type Json } from '../canonical.ts';
import type { Parameter, SearchSpace } from './space.ts';

/** True where a parameter is there, with those values of the parameters before it. */
export function activeIn({ when }: Pick<Parameter, 'when'>, values: Readonly<Record<string, Json>>): boolean {
  return Object.entries(when ?? {}).every(([name, allowed]) =>
    allowed.some((value) => value === values[name]),
  );
}

/** The names of a space's parameters, each behind those that it depends on; those of a circle are left out. */
export function namesInOrder(space: SearchSpace): string[] {
  const ordered: string[] = [];
  const rest = new Set(Object.keys(space).sort(byUnits));
  for (let before = -1; before !== ordered.length; ) {
    before = ordered.length;
    for (const name of rest) {
      const needed = Object.keys(space[name]?.when ?? {});
      if (!needed.every((other) => ordered.includes(other))) continue;
      ordered.push(name);
      rest.delete(name);
    }
  }
  return ordered;
}
