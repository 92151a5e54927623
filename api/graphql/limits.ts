import {
  type ExecutionArgs,
  type FieldNode,
  type FragmentDefinitionNode,
  getArgumentValues,
  getNamedType,
  getNullableType,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  isCompositeType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from "graphql";
import type { Plugin } from "graphql-yoga";
import { DEFAULT_PAGE } from "./connection.ts";

/** Maximum number of values that an operation may request, counted before it runs. */
export const MAX_COST = 60_000;

/** Assumed number of rows in a list without a limit. */
const USUAL_ROWS = 10;

/**
 * Refuses operations that request more than `MAX_COST` values. Each field counts once for each row of the enclosing
 * lists.
 */
export function costLimited(): Plugin {
  const check = ({ args }: { args: ExecutionArgs }) => {
    const cost = costOf(args);
    if (cost > MAX_COST) {
      throw new GraphQLError(
        `Cannot run the operation: it requests up to ${cost} values, at most ${MAX_COST} are allowed. Request fewer rows or fields.`,
        { extensions: { code: "TOO_EXPENSIVE", http: { status: 400 } } },
      );
    }
  };
  return { onExecute: check, onSubscribe: check };
}

export function costOf({ schema, document, operationName, variableValues }: ExecutionArgs): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  let operation: OperationDefinitionNode | undefined;
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    if (operationName == null || definition.name?.value === operationName) operation = definition;
  }
  const root = operation === undefined ? undefined : schema.getRootType(operation.operation);
  return root == null ? 0 : ofSelections(operation!.selectionSet, root);

  function ofSelections(set: SelectionSetNode, type: GraphQLNamedType): number {
    let cost = 0;
    for (const selection of set.selections) {
      if (cost > MAX_COST) return cost;
      if (selection.kind === Kind.FIELD) cost += ofField(selection, type);
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition === undefined
          ? type
          : schema.getType(selection.typeCondition.name.value);
        cost += ofSelections(selection.selectionSet, on ?? type);
      } else {
        const fragment = fragments.get(selection.name.value);
        const on = fragment === undefined ? undefined : schema.getType(fragment.typeCondition.name.value);
        if (fragment !== undefined) cost += ofSelections(fragment.selectionSet, on ?? type);
      }
    }
    return cost;
  }

  function ofField(node: FieldNode, type: GraphQLNamedType): number {
    const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[node.name.value] : undefined;
    if (field === undefined || node.selectionSet === undefined) return 1;
    const inner = getNamedType(field.type);
    return 1 +
      (isCompositeType(inner) ? rowsOf(node, field, type) * ofSelections(node.selectionSet, inner) : 0);
  }

  function rowsOf(node: FieldNode, field: GraphQLField<unknown, unknown>, parent: GraphQLNamedType): number {
    const sized = field.args.some(({ name }) => name === "limit" || name === "first");
    if (sized) {
      const args = getArgumentValues(field, node, variableValues);
      return Math.max(1, Number(args.limit ?? args.first ?? args.last ?? DEFAULT_PAGE));
    }
    return isListType(getNullableType(field.type)) && !parent.name.endsWith("Connection") ? USUAL_ROWS : 1;
  }
}
