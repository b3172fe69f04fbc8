// Prints third_party/proto/buf/validate/validate.proto from the descriptor that the installed
// @bufbuild/protovalidate package carries. Our contracts import that file, buf and protoc need its
// source, and the schema registry that serves it is not reachable everywhere. Run by `npm run generate`.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { file_buf_validate_validate as file } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
} from "@bufbuild/protobuf/wkt";

const SCALARS: Partial<Record<Type, string>> = {
  [Type.DOUBLE]: "double",
  [Type.FLOAT]: "float",
  [Type.INT64]: "int64",
  [Type.UINT64]: "uint64",
  [Type.INT32]: "int32",
  [Type.FIXED64]: "fixed64",
  [Type.FIXED32]: "fixed32",
  [Type.BOOL]: "bool",
  [Type.STRING]: "string",
  [Type.BYTES]: "bytes",
  [Type.UINT32]: "uint32",
  [Type.SFIXED32]: "sfixed32",
  [Type.SFIXED64]: "sfixed64",
  [Type.SINT32]: "sint32",
  [Type.SINT64]: "sint64",
};

function typeName(field: FieldDescriptorProto): string {
  return SCALARS[field.type] ?? field.typeName;
}

function printField(field: FieldDescriptorProto, pad: string, inOneof: boolean): string {
  const label = field.label === Label.REPEATED ? "repeated " : inOneof ? "" : "optional ";
  const fallback = field.defaultValue === "" ? "" : ` [default = ${field.defaultValue}]`;
  return `${pad}${label}${typeName(field)} ${field.name} = ${field.number}${fallback};\n`;
}

function printEnum(desc: EnumDescriptorProto, pad: string): string {
  const values = desc.value.map((v) => `${pad}  ${v.name} = ${v.number};\n`).join("");
  return `${pad}enum ${desc.name} {\n${values}${pad}}\n`;
}

function printMapField(field: FieldDescriptorProto, entry: DescriptorProto, pad: string): string {
  const [key, value] = entry.field as [FieldDescriptorProto, FieldDescriptorProto];
  return `${pad}map<${typeName(key)}, ${typeName(value)}> ${field.name} = ${field.number};\n`;
}

function printMessage(desc: DescriptorProto, pad: string): string {
  const inner = `${pad}  `;
  const maps = new Map(desc.nestedType.filter((m) => m.options?.mapEntry).map((m) => [m.name, m]));
  let out = `${pad}message ${desc.name} {\n`;
  for (const nested of desc.nestedType) if (!maps.has(nested.name)) out += printMessage(nested, inner);
  for (const nested of desc.enumType) out += printEnum(nested, inner);
  for (const field of desc.field) {
    if (field.oneofIndex !== undefined && Object.hasOwn(field, "oneofIndex")) continue;
    const entry = maps.get(field.typeName.split(".").at(-1) ?? "");
    out += entry ? printMapField(field, entry, inner) : printField(field, inner, false);
  }
  desc.oneofDecl.forEach((oneof, index) => {
    const members = desc.field.filter((f) => Object.hasOwn(f, "oneofIndex") && f.oneofIndex === index);
    out += `${inner}oneof ${oneof.name} {\n${members.map((f) => printField(f, `${inner}  `, true)).join("")}${inner}}\n`;
  });
  for (const range of desc.extensionRange) {
    const end = range.end >= 536870912 ? "max" : String(range.end - 1);
    out += `${inner}extensions ${range.start} to ${end};\n`;
  }
  for (const range of desc.reservedRange) out += `${inner}reserved ${range.start} to ${range.end - 1};\n`;
  return `${out}${pad}}\n`;
}

const proto = file.proto;
let text = `// Protovalidate, Apache-2.0, Buf Technologies Inc. Printed from the descriptor in the npm package
// @bufbuild/protovalidate by scripts/print-validate-proto.ts; do not edit.
syntax = "${proto.syntax || "proto2"}";

package ${proto.package};

${proto.dependency.map((d) => `import "${d}";`).join("\n")}

`;
text += proto.messageType.map((m) => printMessage(m, "")).join("\n");
text += proto.enumType.map((e) => printEnum(e, "")).join("\n");
for (const extension of proto.extension) {
  text += `\nextend ${extension.extendee} {\n${printField(extension, "  ", false)}}\n`;
}
const target = new URL("../third_party/proto/buf/validate/validate.proto", import.meta.url).pathname;
mkdirSync(dirname(target), { recursive: true });
writeFileSync(target, text);
