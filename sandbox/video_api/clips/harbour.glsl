// One frame of the film: a harbour at dawn. Drawn by make.py for each frame.
precision highp float;
uniform vec2 size;    // pixels
uniform float time;   // seconds
uniform float height; // of the horizon, 0 to 1

bool is_tall() { return size.y > size.x; }
float edge() { return 0.5 * size.x / size.y; }

float random(vec2 at) { return fract(sin(dot(at, vec2(127.1, 311.7))) * 43758.5453); }

float noise(vec2 at) {
  vec2 cell = floor(at), part = fract(at);
  part = part * part * (3.0 - 2.0 * part);
  return mix(
    mix(random(cell), random(cell + vec2(1, 0)), part.x),
    mix(random(cell + vec2(0, 1)), random(cell + vec2(1, 1)), part.x), part.y);
}

float clouds(vec2 at) {
  float sum = 0.0, share = 0.5;
  for (int octave = 0; octave < 5; octave++) {
    sum += share * noise(at);
    at = at * 2.03 + 17.0;
    share *= 0.5;
  }
  return sum;
}

vec2 sun() { return vec2(is_tall() ? -0.105 : -0.18, height + (is_tall() ? 0.045 : 0.05) + time * 0.0085); }

// The sky at a point; y is 0 at the lower edge and 1 at the upper one, x is 0 in the middle.
vec3 sky(vec2 at) {
  float up = clamp((at.y - height) / (1.0 - height), 0.0, 1.0);
  float light = time / 8.0;
  vec3 low = mix(vec3(1.00, 0.66, 0.42), vec3(1.00, 0.76, 0.50), light);
  vec3 middle = mix(vec3(0.83, 0.42, 0.50), vec3(0.92, 0.53, 0.55), light);
  vec3 high = mix(vec3(0.24, 0.24, 0.47), vec3(0.31, 0.37, 0.62), light);
  vec3 top = mix(vec3(0.09, 0.12, 0.30), vec3(0.14, 0.22, 0.46), light);
  vec3 colour = mix(low, middle, smoothstep(0.0, 0.34, up));
  colour = mix(colour, high, smoothstep(0.22, 0.66, up));
  colour = mix(colour, top, smoothstep(0.55, 1.0, up));
  float far = length((at - sun()) * vec2(1.0, 1.15));
  colour += vec3(1.0, 0.58, 0.30) * 0.30 * exp(-far * 4.2);
  colour += vec3(1.0, 0.78, 0.56) * 0.34 * exp(-far * 15.0);
  vec2 drift = vec2(at.x * 1.25 + time * 0.014, at.y * 8.5 - up * 2.0);
  float veil = smoothstep(0.46, 0.66, clouds(drift + vec2(5.6, 2.2))) * smoothstep(0.08, 0.30, up);
  vec3 lit = mix(vec3(1.0, 0.72, 0.55), vec3(0.62, 0.42, 0.60), smoothstep(0.10, 0.75, up));
  colour = mix(colour, lit + 0.30 * exp(-far * 3.0), veil * 0.55);
  float star = step(0.9972, random(floor(at * 230.0))) * smoothstep(0.5, 0.9, up) * (1.0 - light * 0.8);
  return colour + star * 0.5;
}

float ridge(float x, float seed, float scale) {
  return noise(vec2(x * scale, seed)) * 0.62 + noise(vec2(x * scale * 2.3, seed + 5.0)) * 0.28 + noise(vec2(x * scale * 6.1, seed)) * 0.10;
}

// A triangle with these corners, anticlockwise: negative inside.
float triangle(vec2 at, vec2 a, vec2 b, vec2 c) {
  vec2 ab = b - a, bc = c - b, ca = a - c;
  float one = (at.x - a.x) * ab.y - (at.y - a.y) * ab.x;
  float two = (at.x - b.x) * bc.y - (at.y - b.y) * bc.x;
  float three = (at.x - c.x) * ca.y - (at.y - c.y) * ca.x;
  return max(max(one / length(ab), two / length(bc)), three / length(ca));
}

float box(vec2 at, vec2 middle, vec2 half_size) {
  vec2 out_by = abs(at - middle) - half_size;
  return max(out_by.x, out_by.y);
}

// A sailing boat with its waterline at y = 0. x: hull and mast, y: sails (1 inside).
vec2 boat(vec2 at, float blur) {
  float hull = max(max(-at.y - 0.045, at.y - 0.03 - at.x * 0.06), abs(at.x) - 0.20 - at.y * 0.9);
  float mast = box(at, vec2(0.0, 0.28), vec2(0.006, 0.28));
  float main_sail = triangle(at, vec2(-0.17, 0.07), vec2(-0.014, 0.07), vec2(-0.014, 0.54));
  float fore_sail = triangle(at, vec2(0.018, 0.06), vec2(0.185, 0.06), vec2(0.018, 0.46));
  float dark = 1.0 - smoothstep(-blur, blur, min(hull, mast));
  float cloth = 1.0 - smoothstep(-blur, blur, min(main_sail, fore_sail));
  return vec2(dark, cloth);
}

vec3 with_boat(vec3 colour, vec2 at, vec2 place, float width, float phase) {
  float turn = 0.045 * sin(time * 0.95 + phase);
  vec2 local = (at - place - vec2(0.0, 0.0022 * sin(time * 1.3 + phase))) / width;
  local = vec2(local.x * cos(turn) + local.y * sin(turn), local.y * cos(turn) - local.x * sin(turn));
  vec2 shape = boat(local, 0.75 / (size.y * width));
  vec3 cloth = mix(vec3(0.96, 0.70, 0.56), vec3(1.0, 0.88, 0.74), smoothstep(-0.2, 0.2, local.x + local.y * 0.3));
  colour = mix(colour, cloth, shape.y * 0.97);
  return mix(colour, vec3(0.13, 0.10, 0.18), shape.x);
}

// Hills, the headland with its lighthouse, and everything else that stands above the water.
vec3 land(vec3 colour, vec2 at) {
  float pixel = 1.0 / size.y;
  float line = height + 0.010 + 0.085 * ridge(at.x + 4.0 - time * 0.0012, 2.0, 2.2);
  colour = mix(colour, mix(vec3(0.66, 0.42, 0.54), vec3(0.93, 0.60, 0.52), smoothstep(0.12, 0.0, at.y - height)), smoothstep(line + pixel, line - pixel, at.y) * 0.93);
  line = height - 0.004 + 0.075 * ridge(at.x + 9.0 - time * 0.0022, 7.0, 3.3) * smoothstep(0.05, 0.75, abs(at.x + 0.12));
  colour = mix(colour, mix(vec3(0.42, 0.29, 0.46), vec3(0.72, 0.44, 0.50), smoothstep(0.07, 0.0, at.y - height)), smoothstep(line + pixel, line - pixel, at.y) * 0.97);
  return colour;
}

vec3 headland(vec3 colour, vec2 at) {
  float pixel = 1.0 / size.y;
  float from_edge = (edge() - at.x) * (is_tall() ? 1.55 : 1.0);
  float line = height - 0.02 + 0.115 * smoothstep(0.44, 0.10, from_edge) + 0.016 * ridge(at.x * 3.0, 3.0, 5.0);
  line -= 0.2 * smoothstep(0.36, 0.47, from_edge);
  vec2 tower = (at - vec2(edge() - (is_tall() ? 0.105 : 0.20), height + 0.085)) * (is_tall() ? 1.25 : 1.0);
  vec3 stone = vec3(0.17, 0.13, 0.24);
  float wide = 0.0165 - 0.035 * tower.y;
  float body = max(abs(tower.x) - wide, max(tower.y - 0.165, -tower.y - 0.03));
  float bands = step(0.5, fract(tower.y * 14.0 + 0.15));
  vec3 wall = mix(vec3(0.86, 0.66, 0.62), vec3(0.62, 0.22, 0.26), bands) * mix(1.0, 0.55, smoothstep(-0.012, 0.014, tower.x));
  float room = box(tower, vec2(0.0, 0.181), vec2(0.0085, 0.016));
  float roof = triangle(tower, vec2(-0.0135, 0.197), vec2(0.0135, 0.197), vec2(0.0, 0.219));
  float rail = box(tower, vec2(0.0, 0.166), vec2(0.0155, 0.0022));
  float sweep = time * 0.9 + 0.6;
  float flash = pow(max(0.0, cos(sweep)), 10.0);
  vec2 lamp = tower - vec2(0.0, 0.181);
  float beam = abs(lamp.y + 0.06 * lamp.x * sin(sweep)) / (0.006 + 0.10 * abs(lamp.x));
  float side = smoothstep(-0.03, 0.05, -lamp.x * sign(sin(sweep)));
  colour += vec3(1.0, 0.86, 0.60) * 0.22 * exp(-beam * beam * 2.0) * exp(-abs(lamp.x) * 2.4) * side * abs(sin(sweep));
  colour = mix(colour, wall, smoothstep(pixel, -pixel, body));
  colour = mix(colour, vec3(1.0, 0.90, 0.62), smoothstep(pixel, -pixel, room));
  colour = mix(colour, stone, smoothstep(pixel, -pixel, min(roof, rail)));
  colour += vec3(1.0, 0.85, 0.55) * (0.35 + 0.65 * flash) * exp(-length(lamp) * 46.0);
  vec3 rock = mix(stone, vec3(0.42, 0.25, 0.35), smoothstep(0.0, 0.10, at.y - height) * 0.6);
  return mix(colour, rock, smoothstep(pixel, -pixel, at.y - line) * step(height - 0.006, at.y));
}

vec3 birds(vec3 colour, vec2 at) {
  for (int each = 0; each < 5; each++) {
    float n = float(each);
    vec2 place = vec2((is_tall() ? -0.34 : -0.66) + n * 0.048 + time * 0.030, height + 0.275 - 0.018 * abs(n - 3.0) + 0.012 * sin(n * 4.0) + 0.005 * sin(time * 0.8 + n));
    vec2 local = (at - place) / (0.0125 - 0.0009 * n);
    float wing = abs(local.x);
    float beat = 0.25 + 0.50 * sin(time * 5.5 + n * 1.7);
    float curve = beat * wing * (1.5 - 0.8 * wing) - 0.15 * wing * wing;
    float thick = abs(local.y - curve) - 0.15 * (1.0 - wing * 0.75);
    colour = mix(colour, vec3(0.20, 0.15, 0.28), (1.0 - smoothstep(-0.06, 0.10, max(thick, wing - 1.0))) * 0.9);
  }
  return colour;
}

vec3 above(vec2 at) {
  vec3 colour = sky(at);
  float disc = length(at - sun()), radius = is_tall() ? 0.031 : 0.042;
  colour = mix(colour, vec3(1.06, 1.0, 0.87), smoothstep(radius + 0.0012, radius - 0.0012, disc));
  return headland(land(colour, at), at);
}

// The water: the scene above it, mirrored at waves that are smaller and flatter the farther they are.
vec3 water(vec2 at) {
  float depth = (height - at.y) / height;
  float near = 0.055 + 0.62 * depth;
  vec2 surface = vec2(at.x / near, 2.6 / near);
  float swell = noise(surface * vec2(1.6, 1.5) + vec2(time * 0.16, time * 0.70));
  float ripple = noise(surface * vec2(4.6, 4.4) + vec2(-time * 0.45, time * 1.20));
  float fine = noise(surface * vec2(11.0, 9.5) + vec2(time * 0.7, time * 1.7));
  float calm = smoothstep(0.0, 0.06, depth);
  float wave = (swell - 0.5) * 0.42 + ((ripple - 0.5) * 0.36 + (fine - 0.5) * 0.22) * (0.35 + 0.65 * calm);
  vec2 mirrored = vec2(at.x + wave * 0.10 * near, height + (height - at.y) * 0.95 + wave * (0.025 + 0.20 * depth));
  mirrored.y = max(mirrored.y, height + 0.001);
  vec3 colour = above(mirrored) * mix(vec3(0.92, 0.82, 0.84), vec3(0.50, 0.50, 0.68), smoothstep(0.0, 0.9, depth));
  colour *= 0.93 + 0.20 * (ripple - 0.35) * (0.4 + depth);
  float column = exp(-pow((at.x - sun().x + wave * 0.08) / (0.026 + 0.15 * depth), 2.0));
  float glint = smoothstep(0.50 + 0.07 * depth, 0.70, ripple * 0.50 + fine * 0.42 + swell * 0.12);
  colour += vec3(1.0, 0.72, 0.44) * column * (0.10 + 0.90 * glint) * (1.0 - 0.40 * depth);
  return colour + vec3(1.0, 0.70, 0.55) * glint * 0.06 * (1.0 - depth);
}

vec2 small_boat() { return vec2((is_tall() ? -0.215 : -0.55) + time * 0.0035, height - 0.018); }
vec2 large_boat() { return vec2((is_tall() ? -0.015 : 0.265) + time * 0.0075, height - (is_tall() ? 0.130 : 0.115)); }
float large_width() { return is_tall() ? 0.27 : 0.42; }

// The large boat, upside down in the water below it.
vec3 reflected_boat(vec3 colour, vec2 at) {
  vec2 place = large_boat();
  float below = place.y - at.y;
  float sway = 0.012 * (noise(vec2(at.y * 85.0 + time * 2.2, 1.0)) - 0.5);
  vec3 mirrored = with_boat(colour, vec2(at.x + sway, place.y + below), place, large_width(), 0.0);
  return mix(colour, mirrored, 0.48 * step(0.0, below) * smoothstep(large_width() * 0.55, 0.0, below));
}

void main() {
  vec2 at = vec2((gl_FragCoord.x - 0.5 * size.x) / size.y, gl_FragCoord.y / size.y);
  float closer = 1.0 - 0.004 * time;
  vec2 seen = vec2(at.x * closer + 0.0035 * time, height + (at.y - height) * closer);
  vec3 colour = seen.y > height ? birds(above(seen), seen) : reflected_boat(water(seen), seen);
  colour = with_boat(colour, seen, small_boat(), is_tall() ? 0.09 : 0.11, 2.0);
  colour = with_boat(colour, seen, large_boat(), large_width(), 0.0);
  vec2 centred = gl_FragCoord.xy / size - 0.5;
  colour *= 1.0 - 0.42 * dot(centred, centred);
  // Half a step of noise, because smooth gradients would show bands.
  colour += (random(gl_FragCoord.xy + fract(time)) - 0.5) / 255.0;
  gl_FragColor = vec4(colour, 1.0);
}
