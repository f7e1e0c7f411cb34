# The hub. What the instances are like is in variables_fleet.tf, what is watched in variables_watch.tf.

variable "name" {
  type        = string
  default     = "transcription"
  description = "Put before every name, and the dimension Fleet of the worker's metrics."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.name))
    error_message = "At most 20 of a-z, 0-9 and -, beginning with a letter: buckets are named after it."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Tags of everything."
}

variable "event_bus_name" {
  type        = string
  default     = null
  description = "An event bus that is there already, such as `default`. Without it one is made."
}

variable "audio_uploaded" {
  type = object({
    enabled = optional(bool, true)
    sources = optional(list(string), ["custom.frontend", "custom.audio-service", "custom.upload-service"])
  })
  default     = {}
  description = "`Audio Uploaded` on the bus becomes a job: from these sources."
}

variable "object_created" {
  type = object({
    enabled  = optional(bool, false)
    prefixes = optional(list(string), [])
  })
  default     = {}
  description = "S3's `Object Created` becomes a job, for keys with these prefixes (all, if none). It comes on the account's default bus. Use it or `audio_uploaded` for an upload, not both: an upload that is announced twice is transcribed twice."
}

variable "completed_targets" {
  type = map(object({
    arn      = string
    kind     = optional(string, "queue")
    statuses = optional(list(string), ["completed", "partial", "failed"])
    role_arn = optional(string)
  }))
  default     = {}
  description = "Who hears of `Transcription Completed`: the index, notifications. `kind` is `queue`, `topic`, `function` (its permission is made here) or `other` (with the role to be assumed). A queue's or topic's own policy must let the rule in: output `completed_rule_arns`."

  validation {
    condition     = alltrue([for target in var.completed_targets : contains(["queue", "topic", "function", "other"], target.kind)])
    error_message = "kind is queue, topic, function or other."
  }
  validation {
    condition     = alltrue(flatten([for target in var.completed_targets : [for status in target.statuses : contains(["completed", "partial", "failed"], status)]]))
    error_message = "statuses are completed, partial and failed."
  }
  validation {
    condition     = alltrue([for target in var.completed_targets : length(target.statuses) > 0])
    error_message = "A target without a status would never hear anything."
  }
}

variable "delivery" {
  type = object({
    max_age_seconds = optional(number, 86400)
    max_attempts    = optional(number, 185)
  })
  default     = {}
  description = "How long and how often EventBridge tries to reach a target before the event goes to the queue of undelivered events."
}

variable "max_receive_count" {
  type        = number
  default     = 8
  description = "Receives of a job before it is dead. Each spot interruption is one."

  validation {
    condition     = var.max_receive_count >= 5
    error_message = "Interruptions count as receives: 5 at least."
  }
}

variable "archive_days" {
  type        = number
  default     = 30
  description = "Days that upload events are kept for a replay; 0 keeps none."
}

variable "upload_buckets" {
  type        = list(string)
  default     = []
  description = "Buckets that are there already and hold the audio. Without one a bucket is made."
}

variable "transcript_bucket" {
  type        = string
  default     = null
  description = "A bucket that is there already and takes the transcripts. Without it one is made."
}

variable "transcript_prefix" {
  type        = string
  default     = ""
  description = "Put before each transcript's key, as it stands: `transcripts/` is a folder."
}

variable "upload_cors_origins" {
  type        = list(string)
  default     = []
  description = "Web origins from which browsers may put audio into the bucket that is made here, with a presigned URL."
}

variable "expire" {
  type = object({
    uploads_days     = optional(number)
    transcripts_days = optional(number)
    noncurrent_days  = optional(number, 30)
    temporary_days   = optional(number, 14)
    aborted_days     = optional(number, 3)
  })
  default     = {}
  description = "Days until things are removed from the buckets made here: audio and transcripts (never, if null), versions that were replaced or deleted, the worker's checkpoints and start markers, parts of uploads that were never finished."
}

variable "create_kms_key" {
  type        = bool
  default     = false
  description = "Make a KMS key and encrypt buckets, queues, topic and log groups with it. Without a key they are encrypted with keys that the services own."
}

variable "kms_key_arn" {
  type        = string
  default     = null
  description = "Use this KMS key instead. Its policy must let EventBridge, CloudWatch and CloudWatch Logs use it: see key.tf."

  validation {
    condition     = var.kms_key_arn == null || !var.create_kms_key
    error_message = "Either create_kms_key or kms_key_arn."
  }
}

variable "upload_kms_key_arns" {
  type        = list(string)
  default     = []
  description = "KMS keys of `upload_buckets`, which the worker must be able to read with."
}

variable "schema_registry" {
  type        = bool
  default     = false
  description = "Put the events' schemas into a registry of EventBridge, for discovery and code bindings."
}

variable "force_destroy" {
  type        = bool
  default     = false
  description = "Let `terraform destroy` delete buckets that hold objects. For trials."
}

variable "worker_settings" {
  type        = map(string)
  default     = {}
  description = "More settings of the worker, by the names of README.md, \"Configuration\": TRANSCRIPTION_MODEL, TRANSCRIPTION_LANGUAGE …"

  validation {
    condition     = alltrue([for key, value in var.worker_settings : can(regex("^[A-Z][A-Z0-9_]*$", key)) && !can(regex("[\\n\\r]", value))])
    error_message = "Names of environment variables, values of one line."
  }
}
