// The grammar of lang/grammar.y for tree-sitter.  The end of a statement (`_sep`) comes from src/scanner.c: a line end or `;`
// where a statement may end.  The words that begin definitions are names elsewhere, as there.
const PREC = { or: 1, and: 2, not: 3, compare: 4, range: 5, sum: 6, product: 7, sign: 8, power: 9, postfix: 10 };
const list = (rule) => seq(rule, repeat(seq(',', rule)), optional(','));

module.exports = grammar({
  name: 'nin',
  externals: ($) => [$._sep, $._error],
  extras: ($) => [/[ \t\r\n]/, $.comment],
  word: ($) => $.identifier,
  conflicts: ($) => [[$.block, $.record], [$._pattern, $._primary], [$.list_pattern, $.list]],

  rules: {
    source_file: ($) => optional(seq($._item, repeat(seq($._sep, $._item)), optional($._sep))),

    _item: ($) => choice($.use, $.alias, $.definition, $.experiment, $.test, $._statement),
    use: ($) => seq('use', $.path, optional(seq(':', list($.identifier)))),
    path: ($) => seq($.identifier, repeat(seq('.', $.identifier))),
    alias: ($) => seq('cell', field('name', $.identifier), '=', field('value', $._expr)),
    definition: ($) =>
      seq(choice('cell', 'net', 'fn'), field('name', $.identifier), optional($.settings), $.formals,
          optional(seq('->', field('type', $._postfix))), field('body', choice(seq('=', $._expr), $.block))),
    experiment: ($) => seq('experiment', field('name', $.identifier), optional($.formals), field('body', $.block)),
    test: ($) => seq('test', field('name', $.string), field('body', $.block)),
    settings: ($) => seq('[', list($.formal), ']'),
    formals: ($) => seq('(', optional(list($.formal)), ')'),
    formal: ($) =>
      seq(field('name', $.identifier), optional(seq(':', field('type', $._postfix))), optional(seq('=', $._expr))),
    block: ($) => seq('{', optional(seq($._statement, repeat(seq($._sep, $._statement)), optional($._sep))), '}'),

    _statement: ($) => choice($._expr, $.binding, $.for, $.param, $.state),
    binding: ($) =>
      seq(field('pattern', $._pattern), optional(seq(':', field('type', $._postfix))), '=', field('value', $._expr)),
    for: ($) => seq('for', $.iterators, field('body', $.block)),
    param: ($) =>
      seq('param', field('name', $.identifier), optional(seq(':', field('type', $._postfix))),
          optional(seq('per', field('per', $._postfix))), '=', $._expr),
    state: ($) => seq('state', field('name', $.identifier), optional(seq(':', field('type', $._postfix))), '=', $._expr),
    iterators: ($) => seq($.iterator, repeat(seq(',', $.iterator))),
    iterator: ($) => seq($._pattern, 'in', $._expr),
    _pattern: ($) => choice($.identifier, $.list_pattern),
    list_pattern: ($) => seq('[', $._pattern, repeat(seq(',', $._pattern)), ']'),

    _expr: ($) => choice($.if, $.binary, $.unary, $.range, $._postfix),
    if: ($) => prec.right(seq('if', $._expr, $.block, optional(seq('else', choice($.block, $.if))))),
    binary: ($) =>
      choice(
        ...[['or', PREC.or], ['and', PREC.and], ['==', PREC.compare], ['!=', PREC.compare], ['<', PREC.compare],
            ['<=', PREC.compare], ['>', PREC.compare], ['>=', PREC.compare], ['+', PREC.sum], ['-', PREC.sum],
            ['*', PREC.product], ['/', PREC.product], ['@', PREC.product]]
          .map(([sign, level]) => prec.left(level, seq($._expr, field('operator', sign), $._expr))),
        prec.right(PREC.power, seq($._expr, field('operator', '^'), $._expr))),
    unary: ($) => choice(prec(PREC.not, seq('not', $._expr)), prec(PREC.sign, seq('-', $._expr))),
    range: ($) => prec.left(PREC.range, seq($._expr, '..', $._expr)),

    _postfix: ($) => choice($.select, $.call, $.brackets, $._primary),
    select: ($) => prec(PREC.postfix, seq($._postfix, '.', field('field', $.identifier))),
    call: ($) => prec(PREC.postfix, seq(field('function', $._postfix), '(', optional(list($._argument)), ')')),
    brackets: ($) => prec(PREC.postfix, seq(field('of', $._postfix), '[', optional(list($._argument)), ']')),
    _argument: ($) => choice($._expr, $.spread, $.whole, $.named),
    spread: ($) => seq('...', $._expr),
    whole: () => '..',
    named: ($) => seq(field('label', $.identifier), ':', field('value', $._expr)),

    _primary: ($) =>
      choice($.identifier, $.number, $.string, $.boolean, $.hole, seq('(', $._expr, ')'), $.list, $.comprehension, $.record),
    list: ($) => seq('[', optional(list(choice($._expr, $.spread))), ']'),
    comprehension: ($) => seq('[', $._expr, 'for', $.iterators, ']'),
    record: ($) => seq('{', optional(seq($._field, repeat(seq(choice(',', $._sep), $._field)), optional(choice(',', $._sep)))), '}'),
    _field: ($) => choice($.entry, $.spread),
    entry: ($) => seq(field('label', choice($.identifier, $.string)), ':', field('value', $._expr)),

    identifier: () => /[A-Za-z_][A-Za-z0-9_]*/,
    number: () => token(/[0-9](_?[0-9])*(\.[0-9](_?[0-9])*)?([eE][+-]?[0-9]+)?/),
    string: ($) => seq('"', repeat(choice(token.immediate(/[^"\\\n]+/), $.escape)), token.immediate('"')),
    escape: () => token.immediate(/\\[nt"\\]/),
    boolean: () => choice('true', 'false'),
    hole: () => '?',
    comment: () => token(/#[^\n]*/),
  },
});
