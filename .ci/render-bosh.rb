# Renders a template of a BOSH job as BOSH would, as far as ours need it:
#
#     ruby .ci/render-bosh.rb SPEC PROPERTIES.yml TEMPLATE
#
# Only properties of the job's spec can be seen, and one that is neither given nor has a default is an
# error, unless the template says what then.

require 'erb'
require 'yaml'

# What a template sees.
class TemplateContext
  # What `if_p` returns, for an `else` behind it.
  Else = Struct.new(:wanted) do
    def else
      yield if wanted
    end
  end

  def initialize(spec, properties)
    @values = spec.fetch('properties').to_h do |name, details|
      given = name.split('.').reduce(properties) { |level, key| level.is_a?(Hash) ? level[key] : nil }
      [name, given.nil? ? details['default'] : given]
    end
  end

  def p(names, *default)
    name = Array(names).find { |candidate| !@values[candidate].nil? }
    return @values[name] if name
    return default.first unless default.empty?

    raise "none of these properties is given: #{Array(names).join(', ')}"
  end

  def if_p(*names)
    values = names.map { |name| @values[name] }
    return Else.new(true) if values.any?(&:nil?)

    yield(*values)
    Else.new(false)
  end

  def render(template)
    erb = ERB.new(File.read(template), trim_mode: '-')
    erb.filename = template
    erb.result(binding)
  end
end

abort 'usage: render-bosh.rb SPEC PROPERTIES.yml TEMPLATE' unless ARGV.length == 3
spec, properties, template = ARGV
begin
  print TemplateContext.new(YAML.safe_load_file(spec), YAML.safe_load_file(properties) || {}).render(template)
rescue StandardError => e
  abort "#{template}: #{e.message}"
end
