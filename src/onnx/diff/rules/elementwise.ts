/** Element-wise operators. Under the LRP rules an activation's derivative f′(x) is replaced by f(x)/x, written so that x = 0 is no case. */
import { floatAttr, isFloat } from '../ir';
import { dtypeOf, unbroadcast, type Rule, type RuleContext } from '../rule';

/** g ↦ g · factor, for operators of one input. */
const times = (factor: (c: RuleContext) => string): Rule => (c) => [c.e.mul(c.g()!, factor(c))];
const num = (c: RuleContext, value: number): string => c.e.scalar(value, dtypeOf(c.xi(0)));
const one = (c: RuleContext): string => num(c, 1);

/** Φ(x) = ½(1 + erf(x/√2)), which is also GELU(x)/x. */
function normalCdf(c: RuleContext, x: string): string {
  return c.e.mul(num(c, 0.5), c.e.add(one(c), c.e.op('Erf', [c.e.mul(x, num(c, Math.SQRT1_2))])));
}

const gelu: Rule = (c) => {
  const x = c.x(0);
  if (floatGelu(c) === 'tanh') return fastGelu(c);
  const phi = normalCdf(c, x);
  if (c.lrp) return [c.e.mul(c.g()!, phi)];
  const density = c.e.mul(c.e.op('Exp', [c.e.mul(c.e.mul(x, x), num(c, -0.5))]), num(c, 1 / Math.sqrt(2 * Math.PI)));
  return [c.e.mul(c.g()!, c.e.add(phi, c.e.mul(x, density)))];
};
const floatGelu = (c: RuleContext): string => c.node.origin?.attributes.get('approximate')?.s ?? 'none';

/** ½x(1 + tanh u), u = √(2/π)(x + 0.044715x³). An optional bias is added to x first. */
const fastGelu: Rule = (c) => {
  const { e } = c;
  const x = c.node.op === 'FastGelu' && c.node.inputs[1] ? e.add(c.x(0), c.x(1)) : c.x(0);
  const k = Math.sqrt(2 / Math.PI);
  const square = e.mul(x, x);
  const u = e.mul(e.mul(x, num(c, k)), e.add(one(c), e.mul(square, num(c, 0.044715))));
  const t = e.op('Tanh', [u]);
  const gate = e.mul(num(c, 0.5), e.add(one(c), t));
  if (c.lrp) return [e.mul(c.g()!, gate)];
  const du = e.mul(num(c, k), e.add(one(c), e.mul(square, num(c, 3 * 0.044715))));
  const slope = e.mul(e.mul(num(c, 0.5), x), e.mul(e.sub(one(c), e.mul(t, t)), du));
  return [e.mul(c.g()!, e.add(gate, slope))];
};

/** x·σ(αx): QuickGelu, Swish. */
const quickGelu: Rule = (c) => {
  const { e } = c;
  const x = c.x(0);
  const alpha = floatAttr(c.node, 'alpha', c.node.op === 'QuickGelu' ? 1.702 : 1);
  const s = e.op('Sigmoid', [e.scale(x, alpha, dtypeOf(c.xi(0)))]);
  if (c.lrp) return [e.mul(c.g()!, s)];
  const slope = e.mul(e.scale(x, alpha, dtypeOf(c.xi(0))), e.mul(s, e.sub(one(c), s)));
  return [e.mul(c.g()!, e.add(s, slope))];
};

/** f(x)/x with the limit `at0` where |x| is tiny; both branches stay finite. */
function ratio(c: RuleContext, at0: number): string {
  const { e } = c;
  const x = c.x(0);
  const tiny = e.op('Less', [e.op('Abs', [x]), num(c, 1e-4)]);
  const safe = e.op('Where', [tiny, one(c), x]);
  return e.op('Where', [tiny, num(c, at0), e.div(c.y(), safe)]);
}

const add: Rule = (c) => [0, 1].map((i) => (c.active(i) ? unbroadcast(c, c.g()!, c.xi(i), c.yi()) : null));

const sub: Rule = (c) => [
  c.active(0) ? unbroadcast(c, c.g()!, c.xi(0), c.yi()) : null,
  c.active(1) ? unbroadcast(c, c.e.neg(c.g()!), c.xi(1), c.yi()) : null,
];

const mul: Rule = (c) => {
  if (c.node.inputs[0] === c.node.inputs[1]) return [c.e.mul(c.g()!, c.e.scale(c.x(0), 2, dtypeOf(c.xi(0)))), null];
  return [0, 1].map((i) => (c.active(i) ? unbroadcast(c, c.e.mul(c.g()!, c.x(1 - i)), c.xi(i), c.yi()) : null));
};

const div: Rule = (c) => {
  const { e } = c;
  const b = c.x(1);
  const da = e.div(c.g()!, b);
  return [
    c.active(0) ? unbroadcast(c, da, c.xi(0), c.yi()) : null,
    c.active(1) ? unbroadcast(c, e.neg(e.mul(da, c.y())), c.xi(1), c.yi()) : null,
  ];
};

const pow: Rule = (c) => {
  const { e } = c;
  if (c.active(1)) throw new Error('Pow with a differentiable exponent');
  const n = c.x(1);
  const rest = e.op('Pow', [c.x(0), e.sub(e.cast(n, c.xi(1).dtype, dtypeOf(c.xi(0))), one(c))]);
  return [e.mul(c.g()!, e.mul(e.cast(n, c.xi(1).dtype, dtypeOf(c.xi(0))), rest))];
};

const where: Rule = (c) => {
  const zero = c.e.scalar(0, dtypeOf(c.yi()));
  return [
    null,
    c.active(1) ? unbroadcast(c, c.e.op('Where', [c.x(0), c.g()!, zero]), c.xi(1), c.yi()) : null,
    c.active(2) ? unbroadcast(c, c.e.op('Where', [c.x(0), zero, c.g()!]), c.xi(2), c.yi()) : null,
  ];
};

const cast: Rule = (c) => [isFloat(c.xi(0).dtype) || c.xi(0).dtype === 0 ? c.e.cast(c.g()!, c.yi().dtype, dtypeOf(c.xi(0))) : null];

export const elementwise: Record<string, Rule> = {
  Add: add,
  Sub: sub,
  Mul: mul,
  Div: div,
  Pow: pow,
  Where: where,
  Cast: cast,
  Identity: (c) => [c.g()],
  Dropout: (c) => [c.g()],
  Neg: (c) => [c.e.neg(c.g()!)],
  Sqrt: (c) => [c.e.div(c.e.mul(c.g()!, num(c, 0.5)), c.y())],
  Reciprocal: times((c) => c.e.neg(c.e.mul(c.y(), c.y()))),
  Exp: times((c) => c.y()),
  Log: (c) => [c.e.div(c.g()!, c.x(0))],
  Abs: times((c) => c.e.sub(c.e.cast(c.e.op('Greater', [c.x(0), num(c, 0)]), 9, dtypeOf(c.xi(0))), c.e.cast(c.e.op('Less', [c.x(0), num(c, 0)]), 9, dtypeOf(c.xi(0))))),
  Sigmoid: times((c) => (c.lrp ? ratio(c, 0.25) : c.e.mul(c.y(), c.e.sub(one(c), c.y())))),
  Tanh: times((c) => (c.lrp ? ratio(c, 1) : c.e.sub(one(c), c.e.mul(c.y(), c.y())))),
  Erf: times((c) => (c.lrp ? ratio(c, 2 / Math.sqrt(Math.PI)) : c.e.mul(num(c, 2 / Math.sqrt(Math.PI)), c.e.op('Exp', [c.e.neg(c.e.mul(c.x(0), c.x(0)))])))),
  Relu: times((c) => c.e.cast(c.e.op('Greater', [c.x(0), num(c, 0)]), 9, dtypeOf(c.xi(0)))),
  Gelu: gelu,
  FastGelu: fastGelu,
  QuickGelu: quickGelu,
  Swish: quickGelu,
};
