"""Published results, to print beside our own."""

# Table S5: (trained on, model, variant) -> metric -> mean over the real images (large objects) of MPI3D, between their
# reconstructions and the synthetic images with the same factors.
TABLE_S5: dict[tuple[str, str, str], dict[str, float]] = {
    ("toy", "AE", "BCE"): {"ssim": 0.559, "lpips": 0.412},
    ("toy", "AE", "SSIM"): {"ssim": 0.558, "lpips": 0.347},
    ("toy", "E-AE", "BCE"): {"ssim": 0.896, "lpips": 0.095},
    ("toy", "E-AE", "SSIM"): {"ssim": 0.899, "lpips": 0.103},
    ("toy", "VAE", "BCE"): {"ssim": 0.497, "lpips": 0.338},
    ("toy", "β-VAE", "BCE, β = 4"): {"ssim": 0.527, "lpips": 0.311},
    ("toy", "β-VAE", "BCE, β = 8"): {"ssim": 0.709, "lpips": 0.258},
    ("toy", "FactorVAE", "BCE, γ = 10"): {"ssim": 0.660, "lpips": 0.262},
    ("toy", "FactorVAE", "BCE, γ = 30"): {"ssim": 0.710, "lpips": 0.344},
    ("toy", "FactorVAE", "BCE, γ = 50"): {"ssim": 0.712, "lpips": 0.221},
    ("realistic", "AE", "BCE"): {"ssim": 0.841, "lpips": 0.211},
    ("realistic", "AE", "SSIM"): {"ssim": 0.832, "lpips": 0.195},
    ("realistic", "E-AE", "BCE"): {"ssim": 0.917, "lpips": 0.071},
    ("realistic", "E-AE", "SSIM"): {"ssim": 0.921, "lpips": 0.081},
    ("realistic", "VAE", "BCE"): {"ssim": 0.740, "lpips": 0.197},
    ("realistic", "β-VAE", "BCE, β = 4"): {"ssim": 0.810, "lpips": 0.176},
    ("realistic", "β-VAE", "BCE, β = 8"): {"ssim": 0.794, "lpips": 0.189},
    ("realistic", "FactorVAE", "BCE, γ = 10"): {"ssim": 0.880, "lpips": 0.151},
    ("realistic", "FactorVAE", "BCE, γ = 30"): {"ssim": 0.862, "lpips": 0.161},
    ("realistic", "FactorVAE", "BCE, γ = 50"): {"ssim": 0.779, "lpips": 0.164},
}
