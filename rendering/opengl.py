"""What of a mesh is seen through each pixel, by OpenGL without a display (EGL)."""

from functools import lru_cache

import moderngl
import numpy as np

from rendering.meshes import Mesh, Part
from rendering.surface import Surface

NEAR, FAR = 0.5, 10.0
VERTEX = """
#version 330
uniform mat3 rotation; uniform float focal; uniform float camera; uniform float near; uniform float far;
in vec3 corner; in vec3 normal; in vec3 colour; in vec2 place;
out vec3 turned; out vec3 tint; out vec2 where;
void main() {
    vec3 seen = rotation * corner;
    float depth = seen.x + camera;
    gl_Position = vec4(2 * focal * seen.z, 2 * focal * seen.y, (far + near) / (far - near) * depth
                       - 2 * far * near / (far - near), depth);
    turned = normal; tint = colour; where = place;
}
"""
FRAGMENT = """
#version 330
uniform sampler2D picture; uniform bool textured;
in vec3 turned; in vec3 tint; in vec2 where;
layout(location = 0) out vec4 colours; layout(location = 1) out vec4 normals;
void main() {
    colours = vec4(textured ? tint * texture(picture, where).rgb : tint, 1);
    normals = vec4(turned, 1);
}
"""


@lru_cache(maxsize=1)
def _context() -> tuple[moderngl.Context, moderngl.Program]:
    context = moderngl.create_context(standalone=True, backend="egl")
    return context, context.program(VERTEX, FRAGMENT)


def works() -> bool:
    """Say whether there is OpenGL; drivers tell in many ways that there is not."""
    try:
        _context()
    except Exception:
        return False
    return True


def rasterise(mesh: Mesh, rotation: np.ndarray, focal: float, distance: float, size: int) -> Surface:
    """Return what a camera sees; as `rendering.surface.rasterise`."""
    context, program = _context()
    targets = [context.texture((size, size), 4, dtype="f2") for _ in range(2)]
    depth = context.depth_renderbuffer((size, size))
    frame = context.framebuffer(targets, depth)
    held = [*targets, depth, frame]
    try:
        frame.use()
        frame.clear()
        context.enable_only(moderngl.DEPTH_TEST)
        for name, value in {"rotation": tuple(rotation.T.ravel()), "focal": focal, "camera": distance, "near": NEAR,
                            "far": FAR}.items():
            program[name].value = value
        for part in mesh.parts:
            held += _draw(context, program, part)
        colours, normals = (np.frombuffer(target.read(), np.float16).reshape(size, size, 4)[::-1].astype(np.float32)
                            for target in targets)
    finally:
        for each in held:
            each.release()
    return Surface(colours[..., :3], normals[..., :3], colours[..., 3] > 0)


def _draw(context: moderngl.Context, program: moderngl.Program, part: Part) -> list:
    values = np.concatenate([part.corners, part.normals, part.colours, part.places], axis=2).astype(np.float32)
    buffer = context.buffer(values.tobytes())
    array = context.vertex_array(program, [(buffer, "3f 3f 3f 2f", "corner", "normal", "colour", "place")])
    held = [array, buffer]
    program["textured"].value = part.texture is not None
    if part.texture is not None:
        texture = context.texture(part.texture.shape[1::-1], 3, np.ascontiguousarray(part.texture[::-1]), alignment=1)
        texture.build_mipmaps()
        texture.use()
        held.append(texture)
    array.render(moderngl.TRIANGLES)
    return held
