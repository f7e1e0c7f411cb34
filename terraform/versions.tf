terraform {
  # optional attributes with defaults need 1.3, references between variables in validations 1.9
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
  }
}
