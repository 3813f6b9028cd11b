// What is called, and how answers are compared. Each row is called directly and through stepup with the same
// arguments, and both answers must be the same by value.
import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const TEXT = "plain, \u00fcnicode, \u202eright to left, \u{1f510}, \"quoted\", \\ and\nlines\tand tabs";

export const everything = [
  ["echo", { message: "hello" }],
  ["echo", { message: TEXT }],
  ["echo", { message: "" }],
  ["echo", { message: "long ".repeat(20_000) }],
  ["get-sum", { a: 2, b: 40 }],
  ["get-sum", { a: 0.1, b: 0.2 }],
  ["get-sum", { a: -1.5, b: 9007199254740991 }],
  ["get-tiny-image", {}],
  ["get-annotated-message", { messageType: "error", includeImage: true }],
  ["get-annotated-message", { messageType: "debug" }],
  ["get-resource-links", { count: 4 }],
  ["get-resource-reference", { resourceType: "Blob", resourceId: 2 }],
  ["get-structured-content", { location: "Chicago" }],
  ["trigger-long-running-operation", { duration: 0.2, steps: 2 }],
];

export const filesystem = (folder) => {
  const at = (name) => join(folder, name);
  return [
    ["list_allowed_directories", {}],
    ["list_directory", { path: folder }],
    ["list_directory_with_sizes", { path: folder, sortBy: "size" }],
    ["directory_tree", { path: folder }],
    ["read_text_file", { path: at("notes.txt") }],
    ["read_text_file", { path: at("notes.txt"), head: 1 }],
    ["read_media_file", { path: at("dot.png") }],
    ["read_multiple_files", { paths: [at("notes.txt"), at("missing.txt")] }],
    ["search_files", { path: folder, pattern: "**/*.txt" }],
    ["get_file_info", { path: at("notes.txt") }],
    ["write_file", { path: at("new/../new.txt"), content: TEXT }],
    ["edit_file", { path: at("new.txt"), edits: [{ oldText: "plain", newText: "changed" }], dryRun: true }],
    ["edit_file", { path: at("new.txt"), edits: [{ oldText: "plain", newText: "changed" }] }],
    ["read_text_file", { path: at("new.txt") }],
    ["create_directory", { path: at("made/deep") }],
    ["move_file", { source: at("new.txt"), destination: at("made/deep/moved.txt") }],
    ["directory_tree", { path: folder, excludePatterns: ["*.png"] }],
    ["read_text_file", { path: at("missing.txt") }],
    ["read_text_file", { path: "/etc/hostname" }],
  ];
};

/** The same files each time, made at the same moment. */
export function seed(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "sub"), { recursive: true });
  const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  writeFileSync(join(folder, "notes.txt"), "first\nsecond\nthird\n");
  writeFileSync(join(folder, "dot.png"), Buffer.from(png, "base64"));
  writeFileSync(join(folder, "sub/inner.txt"), TEXT);
  utimesSync(join(folder, "notes.txt"), 1_700_000_000, 1_700_000_000);
}

/** What differs between two runs of anything: when a file was made or looked at, and the time of day in a text. */
export const comparable = (result) => JSON.parse(JSON.stringify(result, (name, value) => {
  if (typeof value !== "string") return value;
  const text = name === "blob" ? Buffer.from(value, "base64").toString() : value;
  return text.replace(/(created|accessed)("?: ?)[^\n]*/g, "$1$2…").replace(/\d{1,2}:\d{2}:\d{2}( [AP]M)?/g, "…");
}));
